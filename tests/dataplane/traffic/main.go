// The two ends of the data plane: what runs in a pod, and what sends requests.
//
//	traffic serve ADDRESS VERSION POD [SHARE]   answers with its version and its pod; SHARE of the answers (0 to 1) are errors of its own, status 500
//	traffic send [-n N] [-rate N] URL HOST      until N requests are sent or SIGTERM comes; then prints counts and losses as one line of JSON
//
// Half of the senders keep their connections, half make a new one for each request; half of the requests are POSTs, which no proxy may send twice.
// An answer that does not name a version comes from no pod: it is a loss, as is an error.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch {
	case len(os.Args) >= 5 && os.Args[1] == "serve":
		serve(ended, os.Args[2], os.Args[3], os.Args[4], os.Args[5:])
	case len(os.Args) >= 4 && os.Args[1] == "send":
		send(ended, os.Args[2:])
	default:
		log.Fatal("usage: traffic serve ADDRESS VERSION POD [SHARE] | traffic send [-n N] [-rate N] URL HOST")
	}
}

// serve answers until SIGTERM, then to the end of what has begun.
func serve(ended context.Context, address, version, pod string, rest []string) {
	share := 0.0
	if len(rest) > 0 {
		var err error
		if share, err = strconv.ParseFloat(rest[0], 64); err != nil {
			log.Fatal(err)
		}
	}
	var asked atomic.Int64
	http.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Version", version)
		w.Header().Set("Pod", pod)
		n := float64(asked.Add(1))
		// As even as can be: every second one for a half.
		if int64(n*share) > int64((n-1)*share) {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprintln(w, version)
	})
	server := &http.Server{Addr: address}
	go func() {
		if err := server.ListenAndServe(); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()
	<-ended.Done()
	if err := server.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// What was answered, by sender, version, side and status, and what was not.
type report struct {
	sync.Mutex
	Answers map[string]int `json:"answers"`
	Lost    []string       `json:"lost"`
}

const senders = 8

func send(ended context.Context, arguments []string) {
	flags := flag.NewFlagSet("send", flag.ExitOnError)
	most := flags.Int64("n", 1<<62, "how many requests")
	rate := flags.Float64("rate", 0, "requests a second; 0: as many as there are answers")
	flags.Parse(arguments)
	url, host := flags.Arg(0), flags.Arg(1)
	report := report{Answers: map[string]int{}, Lost: []string{}}
	begun := time.Now()
	var sent atomic.Int64
	var all sync.WaitGroup
	for i := range senders {
		kind := []string{"kept", "fresh"}[i%2]
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: kind == "fresh"}}
		all.Go(func() {
			for {
				n := sent.Add(1) - 1
				if n >= *most {
					return
				}
				if *rate > 0 {
					select {
					case <-time.After(time.Until(begun.Add(time.Duration(float64(n) / *rate * float64(time.Second))))):
					case <-ended.Done():
					}
				}
				if ended.Err() != nil {
					return
				}
				report.add(kind, client, []string{"GET", "POST"}[n/2%2], url, host)
			}
		})
	}
	all.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(&report); err != nil {
		log.Fatal(err)
	}
}

func (r *report) add(kind string, client *http.Client, method, url, host string) {
	request, err := http.NewRequest(method, url, strings.NewReader("body"))
	if err != nil {
		log.Fatal(err)
	}
	request.Host = host
	begun := time.Now()
	answer, err := client.Do(request)
	var text []byte
	if err == nil {
		text, err = io.ReadAll(answer.Body)
		answer.Body.Close()
	}
	r.Lock()
	defer r.Unlock()
	if err != nil {
		r.Lost = append(r.Lost, fmt.Sprintf("%s %s %s: %v", begun.UTC().Format("15:04:05.000"), kind, method, err))
		return
	}
	version := answer.Header.Get("Version")
	if version == "" {
		r.Lost = append(r.Lost, fmt.Sprintf("%s %s %s: %s %s", begun.UTC().Format("15:04:05.000"), kind, method, answer.Status, strings.TrimSpace(string(text))))
		return
	}
	side := "canary"
	if strings.Contains(answer.Header.Get("Pod"), "-primary-") {
		side = "primary"
	}
	r.Answers[fmt.Sprintf("%s %s %s %d", kind, version, side, answer.StatusCode)]++
}
