package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// maxSecret bounds a password or an access token read from standard input, in bytes.
const maxSecret = 4096

// readSecret completes the user name and the password or the token, by asking for
// what is missing when a person sits there.
func (o *loginOptions) readSecret(cmd *cobra.Command, server string) (err error) {
	if err := o.checkSecrets(); err != nil {
		return err
	}
	warnInTheClear(cmd, server, "password")
	switch {
	case o.token != "":
		warn(cmd, "a token on the command line can be seen by others on this machine: use --password-stdin")
		return nil
	case o.password != "":
		warn(cmd, "a password on the command line can be seen by others on this machine: use --password-stdin")
	case o.passwordStdin:
		if o.password, err = readLine(cmd.InOrStdin()); err != nil {
			return err
		}
	default:
		if err := o.ask(cmd, server); err != nil {
			return err
		}
	}
	if strings.HasPrefix(o.password, accessTokenPrefix) {
		o.token = o.password
		return nil
	}
	if o.user == "" {
		return usagef("no user name is given: add -u NAME")
	}
	return nil
}

func (o *loginOptions) checkSecrets() error {
	given := 0
	for _, is := range []bool{o.token != "", o.password != "", o.passwordStdin} {
		if is {
			given++
		}
	}
	if given > 1 {
		return usagef("give one of --password, --password-stdin and --token only")
	}
	return nil
}

// ask prompts on a terminal; the password is not shown.
func (o *loginOptions) ask(cmd *cobra.Command, server string) error {
	in, ok := terminal(cmd)
	if !ok {
		return usagef("no password is given, and there is no terminal to ask for it: add --password-stdin, or --web or --device to log in at the server's issuer if it has one")
	}
	prompts := cmd.ErrOrStderr()
	if o.user == "" {
		_, _ = fmt.Fprintf(prompts, "User name for %s: ", server)
		line, err := bufio.NewReader(io.LimitReader(in, maxSecret)).ReadString('\n')
		if err != nil {
			return fmt.Errorf("reading the user name: %w", err)
		}
		o.user = strings.TrimSpace(line)
	}
	password, err := readHidden(cmd, in, fmt.Sprintf("Password for %s at %s: ", o.user, server))
	o.password = password
	return err
}

// terminal is where a person types, if there is one.
func terminal(cmd *cobra.Command) (in *os.File, ok bool) {
	in, ok = cmd.InOrStdin().(*os.File)
	return in, ok && term.IsTerminal(int(in.Fd()))
}

// readHidden asks for a password, which is not shown while it is typed.
func readHidden(cmd *cobra.Command, in *os.File, prompt string) (string, error) {
	_, _ = fmt.Fprint(cmd.ErrOrStderr(), prompt)
	password, err := term.ReadPassword(int(in.Fd()))
	_, _ = fmt.Fprintln(cmd.ErrOrStderr())
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	if len(password) == 0 {
		return "", errors.New("the password is empty: nothing was done")
	}
	return string(password), nil
}

// readLine reads a secret from a pipe or a file: all of it, without the line's end.
func readLine(in io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("reading the password from standard input: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	switch {
	case secret == "":
		return "", usagef("standard input holds no password: write, for example, --password-stdin < FILE")
	case len(text) > maxSecret || strings.ContainsAny(secret, "\r\n"):
		return "", usagef("standard input holds more than one line: give it the password alone")
	}
	return secret, nil
}

// warnInTheClear says that what is sent to the server can be read on the way.
func warnInTheClear(cmd *cobra.Command, server, what string) {
	if inTheClear(server) {
		warn(cmd, "%s is not encrypted: whoever listens on the network can read your %s; use https if you can", server, what)
	}
}

func warn(cmd *cobra.Command, format string, args ...any) {
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "warning: "+format+"\n", args...)
}
