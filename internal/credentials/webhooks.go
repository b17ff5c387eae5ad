package credentials

// WebhookSecrets encrypts the secrets by which deliveries to webhooks are signed.
type WebhookSecrets struct {
	Key KeySource
}

// Seal encrypts the secret of a project's webhook. The error is ErrNoKey when there is no
// key to do it by.
func (w WebhookSecrets) Seal(project, name, secret string) ([]byte, error) {
	key, err := w.Key(true)
	if err != nil {
		return nil, err
	}
	return seal(key, ofWebhooks, binding(project, name), []byte(secret))
}

// Open decrypts what Seal has made for the webhook. It is an error when that was done by
// another key, or when the key is gone.
func (w WebhookSecrets) Open(project, name string, sealed []byte) (secret string, err error) {
	key, err := w.Key(false)
	if err != nil {
		return "", err
	}
	text, err := unseal(key, ofWebhooks, binding(project, name), sealed)
	return string(text), err
}
