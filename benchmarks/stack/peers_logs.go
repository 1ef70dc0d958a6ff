package stackbench

import (
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/httplog/v3"
	"github.com/rs/zerolog"
	"github.com/rs/zerolog/hlog"
	sloghttp "github.com/samber/slog-http"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A record by hand has the fields of Ballast's that its author can know: those of
// whom the request came from are not among them, for that is found out further in.

func zapLogs(out io.Writer) middleware {
	cfg := zap.NewProductionEncoderConfig()
	cfg.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(cfg), zapcore.Lock(zapcore.AddSync(out)), zap.InfoLevel)).Named("stack")
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begin, rec := time.Now(), record(w)
			next.ServeHTTP(rec, r)
			span := trace.SpanContextFromContext(r.Context())
			level := zap.InfoLevel
			if rec.status >= 500 {
				level = zap.ErrorLevel
			}
			log.Log(level, "request",
				zap.String("request_id", requestIDOf(r.Context())),
				zap.Stringer("trace_id", span.TraceID()), zap.Stringer("span_id", span.SpanID()),
				zap.String("method", r.Method), zap.String("route", route), zap.Int("status", rec.status),
				zap.Int("bytes_out", rec.bytes), zap.Float64("duration_ms", float64(time.Since(begin))/1e6),
				zap.String("remote", r.RemoteAddr), zap.String("user_agent", r.UserAgent()))
		})
	}
}

func zerologLogs(out io.Writer) middleware {
	log := zerolog.New(zerolog.SyncWriter(out)).With().Str("logger", "stack").Logger()
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begin, rec := time.Now(), record(w)
			next.ServeHTTP(rec, r)
			span := trace.SpanContextFromContext(r.Context())
			level := zerolog.InfoLevel
			if rec.status >= 500 {
				level = zerolog.ErrorLevel
			}
			now := time.Now()
			e := log.WithLevel(level).Time("timestamp", now).
				Str("request_id", requestIDOf(r.Context()))
			if span.IsValid() {
				e = e.Stringer("trace_id", span.TraceID()).Stringer("span_id", span.SpanID())
			}
			e.Str("method", r.Method).Str("route", route).Int("status", rec.status).
				Int("bytes_out", rec.bytes).Float64("duration_ms", float64(now.Sub(begin))/1e6).
				Str("remote", r.RemoteAddr).Str("user_agent", r.UserAgent()).Msg("request")
		})
	}
}

// hlogLogs is the chain of hlog's own documentation.
func hlogLogs(out io.Writer) middleware {
	log := zerolog.New(zerolog.SyncWriter(out)).With().Timestamp().Str("logger", "stack").Logger()
	return join(hlog.NewHandler(log),
		hlog.AccessHandler(func(r *http.Request, status, size int, d time.Duration) {
			hlog.FromRequest(r).Info().Str("method", r.Method).Str("route", route).Int("status", status).
				Int("bytes_out", size).Dur("duration_ms", d).Msg("request")
		}),
		hlog.RemoteAddrHandler("remote"), hlog.UserAgentHandler("user_agent"), hlog.RequestIDHandler("request_id", "X-Request-Id"))
}

func slogLogs(out io.Writer) middleware {
	log := slog.New(slog.NewJSONHandler(out, nil)).With("logger", "stack")
	return sloghttp.NewWithConfig(log, sloghttp.Config{
		DefaultLevel: slog.LevelInfo, ClientErrorLevel: slog.LevelInfo, ServerErrorLevel: slog.LevelError,
		WithUserAgent: true, WithRequestID: true, WithTraceID: true, WithSpanID: true, WithClientIP: true,
	})
}

func slogRecovery(next http.Handler) http.Handler { return sloghttp.Recovery(next) }

func httplogLogs(out io.Writer, concise bool) middleware {
	log := slog.New(slog.NewJSONHandler(out, nil)).With("logger", "stack")
	return httplog.RequestLogger(log, &httplog.Options{
		Level: slog.LevelInfo, Schema: httplog.SchemaECS.Concise(concise), RecoverPanics: true,
		LogExtraAttrs: func(r *http.Request, _ string, _ int) []slog.Attr {
			return []slog.Attr{slog.String("request_id", requestIDOf(r.Context()))}
		},
	})
}
