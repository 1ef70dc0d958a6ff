package stackbench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

const tableLoopback = "loopback"

// overLoopback has an http.Server behind one connection that is kept alive. Its
// client is as cheap as can be, for it is part of every line.
func overLoopback(st stack, token string) (Op, func(), error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	srv := &http.Server{Handler: st.chain(service())}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		_ = srv.Close()
		<-served
		return nil, nil, err
	}
	closeIt := func() {
		_ = conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx)
		<-served
	}
	op := exchange(conn, token)
	return op, closeIt, op(0, 1)
}

// exchange sends one request at a time, whose answer ends as the service's does.
func exchange(conn net.Conn, token string) Op {
	request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: models.example\r\nUser-Agent: %s\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n", route, agent, token)
	buf := make([]byte, 8<<10)
	return func(_, n int) error {
		for range n {
			if _, err := conn.Write(request); err != nil {
				return err
			}
			got := 0
			for !bytes.HasSuffix(buf[:got], answer) {
				more, err := conn.Read(buf[got:])
				if err != nil {
					return fmt.Errorf("after %q: %w", buf[:got], err)
				}
				got += more
			}
			if !bytes.HasPrefix(buf[:got], []byte("HTTP/1.1 200 ")) {
				return fmt.Errorf("answered %q", buf[:got])
			}
		}
		return nil
	}
}
