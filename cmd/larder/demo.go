package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/server"
	"github.com/larder-registry/larder/internal/telemetry"
)

// What the demonstration does; the numbers are those of the contract.
const (
	demoRepository   = "library/nginx"
	demoTag          = "latest"
	demoColdPulls    = 50
	demoWarmPulls    = 250
	demoWarmClients  = 8
	demoLastPulls    = 10
	demoHubLimit     = 100      // manifest GETs that Docker Hub allows a stranger in 6 hours
	demoBandwidth    = 24 << 20 // bytes per second of each of the Hub's connections
	demoTagTTL       = time.Second
	manifestsPerPull = 2 // an index and the manifest of one platform
	demoDeadline     = 2 * time.Minute
)

func newDemoCommand() *cobra.Command {
	var stay bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show what the cache saves, against a simulated Docker Hub",
		Long: `Start Larder and a simulated Docker Hub on free ports of this machine. Have 50
clients pull one image at once that is not in the cache, pull it 250 times more, then
take the Hub away and pull again. No network, no privileges, half a minute; the exit
status is 1 when a promise did not hold.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilSignalled(cmd.Context())
			defer stop()
			return runDemo(ctx, cmd.OutOrStdout(), stay)
		},
	}
	cmd.Flags().BoolVar(&stay, "stay", false, "keep both servers up afterwards, until Ctrl-C")
	return cmd
}

func runDemo(ctx context.Context, out io.Writer, stay bool) (err error) {
	d, err := startDemo(ctx)
	if err != nil {
		return fmt.Errorf("starting the demonstration: %w", err)
	}
	defer func() {
		if closeErr := d.close(); err == nil {
			err = closeErr
		}
	}()
	d.progress = newProgress(out)
	bounded, cancel := context.WithTimeout(ctx, demoDeadline)
	defer cancel()
	acts, err := d.play(bounded)
	d.progress.wait()
	if err != nil {
		return fmt.Errorf("the demonstration was stopped before its end: %w", err)
	}
	if err := demoReport(out, acts); err != nil {
		return err
	}
	if !stay {
		_, _ = fmt.Fprintln(out, "\nTry it: larder demo --stay keeps both servers up, to pull from and to push to")
		return judge(acts)
	}
	_, _ = fmt.Fprintf(out, "\nBoth servers stay up until Ctrl-C, and the simulated Docker Hub is back.\n\n"+
		"Try it: docker pull %[1]s/docker-hub/%[2]s:%[3]s\nTo push: docker login %[1]s -u admin -p %[4]s\n",
		d.address(), demoRepository, demoTag, d.password)
	<-ctx.Done()
	return judge(acts)
}

// demo is a simulated Docker Hub and a real Larder in front of it.
type demo struct {
	hub      *hubsim.Hub
	image    hubsim.Pushed
	larder   *server.Server
	stop     context.CancelFunc
	ended    chan error
	data     string
	password string // of admin, for whoever wants to push
	progress *progress
}

func startDemo(ctx context.Context) (_ *demo, err error) {
	d := &demo{ended: make(chan error, 1), stop: func() {}, password: rand.Text()}
	defer func() {
		if err != nil {
			d.ended <- nil
			_ = d.close()
		}
	}()
	if d.hub, err = hubsim.Start(hubsim.Options{AnonymousLimit: demoHubLimit, BlobBandwidth: demoBandwidth}); err != nil {
		return nil, err
	}
	d.image = d.hub.AddImage(demoRepository, demoTag, demoImage())
	if d.data, err = os.MkdirTemp("", "larder-demo-"); err != nil {
		return nil, err
	}
	config, err := demoConfig(d.data, d.hub.URL())
	if err != nil {
		return nil, err
	}
	log, flush := telemetry.NewLogger(io.Discard, config.Log.Level, "text")
	flush()
	d.larder, err = server.New(ctx, config, server.Options{Version: version, AdminPassword: d.password, Log: log, Notices: io.Discard})
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	go func() { d.ended <- d.larder.Run(running) }()
	return d, nil
}

// demoConfig is what `larder serve` would get from its flags, with a short TTL so
// that freshness checks happen while one looks on.
func demoConfig(data, hubURL string) (server.Config, error) {
	flags := pflag.NewFlagSet("demo", pflag.ContinueOnError)
	bound := server.BindFlags(flags)
	if err := flags.Parse([]string{"--listen", "127.0.0.1:0", "--data", data, "--upstream", "docker-hub=" + hubURL}); err != nil {
		return server.Config{}, err
	}
	none := func(string) (string, bool) { return "", false }
	config, err := server.Load(bound, none, server.ReadFile)
	if err != nil {
		return server.Config{}, err
	}
	config.Upstreams[0].TagTTL = demoTagTTL
	return config, nil
}

func (d *demo) close() error {
	d.stop()
	err := <-d.ended
	if d.hub != nil {
		d.hub.Close()
	}
	if d.data != "" {
		if removeErr := os.RemoveAll(d.data); err == nil {
			err = removeErr
		}
	}
	return err
}

// address is the HOST:PORT of the image names that one can try.
func (d *demo) address() string {
	u := url.URL{Host: d.larder.Addr().String()}
	return "localhost:" + u.Port()
}
