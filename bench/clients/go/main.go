// Puts keys with Go etcd's client, so many at once, and prints what it took as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func cpuMicros() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return (usage.Utime.Sec+usage.Stime.Sec)*1e6 + usage.Utime.Usec + usage.Stime.Usec
}

func puts(client *clientv3.Client, count, concurrent int64) {
	value := strings.Repeat("v", 256)
	var next atomic.Int64
	var group sync.WaitGroup
	for range concurrent {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := next.Add(1); i <= count; i = next.Add(1) {
				if _, err := client.Put(context.Background(), "/bench/"+strconv.FormatInt(i%10000, 10), value); err != nil {
					panic(err)
				}
			}
		}()
	}
	group.Wait()
}

func main() {
	count, _ := strconv.ParseInt(os.Args[2], 10, 64)
	concurrent, _ := strconv.ParseInt(os.Args[3], 10, 64)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{os.Args[1]}, DialTimeout: 10 * time.Second})
	if err != nil {
		panic(err)
	}
	defer client.Close()
	puts(client, count/4, concurrent)
	cpu, start := cpuMicros(), time.Now()
	puts(client, count, concurrent)
	figures := map[string]float64{
		"cpuUs":     float64(cpuMicros()-cpu) / float64(count),
		"perSecond": float64(count) / time.Since(start).Seconds(),
	}
	text, _ := json.Marshal(figures)
	fmt.Println(string(text))
}
