package obsbench

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"

	"github.com/ballast-go/ballast/logging"
)

// Ours is what the others are compared with.
const Ours = "ballast"

const (
	tableRecord = "record"
	tableSource = "record with its source"
	jsonHandler = "slog.JSONHandler"
)

var errBad = errors.New("connection reset by peer")

// A logger writes one record with ten attributes, of the kinds that services log.
type logger func()

func throughSlog(h slog.Handler) logger {
	log, ctx := slog.New(h), context.Background()
	return func() {
		log.LogAttrs(ctx, slog.LevelInfo, "request served",
			slog.String("model_id", "llama-3-70b"), slog.String("tenant", "acme"), slog.String("path", "/v1/completions"),
			slog.Int("tokens", 512), slog.Int64("bytes", 1<<20), slog.Uint64("sequence", 7), slog.Bool("cached", true),
			slog.Float64("ratio", 0.75), slog.Duration("elapsed", 1500*time.Millisecond), slog.Any("cause", errBad))
	}
}

// A recorder is a library that writes records as JSON.
type recorder struct {
	name, note string
	new        func(w io.Writer) (logger, error)
}

// recorders are all that write a record without (or with) where it comes from.
func recorders(source bool) []recorder {
	return []recorder{
		{Ours, "through log/slog", func(w io.Writer) (logger, error) {
			l, err := logging.New(logging.Config{Output: w, OmitSource: !source})
			if err != nil {
				return nil, err
			}
			return throughSlog(l.Slog().Handler()), nil
		}},
		{jsonHandler, "", func(w io.Writer) (logger, error) {
			return throughSlog(slog.NewJSONHandler(w, &slog.HandlerOptions{AddSource: source})), nil
		}},
		{"zapslog", "through log/slog", func(w io.Writer) (logger, error) {
			return throughSlog(zapslog.NewHandler(zapCore(w), zapslog.WithCaller(source))), nil
		}},
		{"zerolog's slog", "through log/slog", func(w io.Writer) (logger, error) {
			log := zerolog.New(zerolog.SyncWriter(w)).With().Timestamp()
			if source {
				return nil, nil // it cannot know
			}
			return throughSlog(zerolog.NewSlogHandler(log.Logger())), nil
		}},
		{"zap", "by its own functions", func(w io.Writer) (logger, error) { return zapRecord(zap.New(zapCore(w), zap.WithCaller(source))), nil }},
	}
}

func zapCore(w io.Writer) zapcore.Core {
	cfg := zap.NewProductionEncoderConfig()
	cfg.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return zapcore.NewCore(zapcore.NewJSONEncoder(cfg), zapcore.Lock(zapcore.AddSync(w)), zap.InfoLevel)
}

func zapRecord(log *zap.Logger) logger {
	return func() {
		log.Info("request served",
			zap.String("model_id", "llama-3-70b"), zap.String("tenant", "acme"), zap.String("path", "/v1/completions"),
			zap.Int("tokens", 512), zap.Int64("bytes", 1<<20), zap.Uint64("sequence", 7), zap.Bool("cached", true),
			zap.Float64("ratio", 0.75), zap.Duration("elapsed", 1500*time.Millisecond), zap.NamedError("cause", errBad))
	}
}

func recordTables() []Table {
	var tables []Table
	for _, source := range []bool{false, true} {
		t := Table{Name: tableRecord, Title: "A record with ten attributes, as JSON, to nowhere", Workers: 1, Batch: 64}
		if source {
			t.Name, t.Title = tableSource, t.Title+", with the function and line that log it"
		}
		for _, r := range recorders(source) {
			log, err := r.new(io.Discard)
			if err == nil && log == nil {
				continue
			}
			t.Contenders = append(t.Contenders, Contender{Name: r.name, Note: r.note, Open: func() (Op, func(), error) {
				return func(_, n int) error {
					for range n {
						log()
					}
					return nil
				}, nil, err
			}})
		}
		tables = append(tables, t)
	}
	return tables
}
