module github.com/ballast-go/ballast

go 1.26
