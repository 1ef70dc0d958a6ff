// Package weights stores the parameters of a fully connected network in a file: matrices as IEEE 754 half precision,
// biases as single precision.
//
// Little-endian throughout:
//
//	bytes  8           "BALLAST1"
//	uint32             L, the number of layers, 1 to 8
//	uint32 × (L+1)     the widths: inputs, outputs of each layer; 1 to 65536
//	per layer:
//	  uint16 × in×out  the matrix, row by row (one row per input), as half-precision bits
//	  float32 × out    the biases
//	uint32             CRC-32 (IEEE) of all that precedes
//
// Half precision keeps 11 significant bits. That is plenty for a network whose weights lie near 0.05, halves the file,
// and costs nothing at run time: the weights are widened once, when they are loaded.
package weights
