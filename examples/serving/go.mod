module github.com/ballast-go/ballast/examples/serving

go 1.26

require github.com/ballast-go/ballast v0.0.0

replace github.com/ballast-go/ballast => ../..
