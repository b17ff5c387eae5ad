{{- define "larder.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "larder.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Release.Service }}
app.kubernetes.io/managed-by: {{ . }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version }}
{{- end }}
{{- end }}

{{/* Of what makes images be rewritten, by which larder kube uninstall finds it. */}}
{{- define "larder.rewritingLabels" -}}
{{ include "larder.labels" . }}
app.kubernetes.io/part-of: larder
app.kubernetes.io/component: rewriting
{{- end }}

{{/* Called with a list of the chart's context and the component, registry or webhook. */}}
{{- define "larder.selector" -}}
{{- with index . 0 -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "larder.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "larder.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary (include "larder.name" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "larder.adminSecret" -}}
{{ .Values.admin.existingSecret | default (printf "%s-admin" (include "larder.name" .)) }}
{{- end }}

{{/* Not empty when the pods serve TLS themselves. */}}
{{- define "larder.tls" -}}
{{ if or .Values.tls.selfSigned .Values.tls.existingSecret }}yes{{ end }}
{{- end }}

{{- define "larder.port" -}}
{{ .Values.service.port | default (ternary 443 80 (ne (include "larder.tls" .) "")) }}
{{- end }}

{{/* Not empty when the state is outside the pod, so that several of them can serve. */}}
{{- define "larder.shared" -}}
{{ if and .Values.database.existingSecret .Values.storage.url }}yes{{ end }}
{{- end }}

{{/* Not empty when the cluster says whose a token is. */}}
{{- define "larder.reviewsTokens" -}}
{{ if or (eq (.Values.config.access | default "local") "kubernetes") (dig "kubernetes" "serviceAccountTokens" false .Values.config) }}yes{{ end }}
{{- end }}

{{/* Not empty when the cluster says which images run. */}}
{{- define "larder.pinsRunning" -}}
{{ if ne (dig "kubernetes" "pinRunning" (ternary "168h" "0s" (eq (.Values.config.access | default "local") "kubernetes")) .Values.config) "0s" }}yes{{ end }}
{{- end }}

{{/* Not empty when the cluster's API server is asked by the pods. */}}
{{- define "larder.asksCluster" -}}
{{- $k := .Values.config.kubernetes | default dict -}}
{{ if or (and .Values.webhook.enabled (not (include "larder.certManager" .))) (include "larder.reviewsTokens" .) (include "larder.pinsRunning" .) $k.pullSecrets $k.imageTriggers }}yes{{ end }}
{{- end }}

{{/* Not empty when cert-manager makes the webhook's certificate. */}}
{{- define "larder.certManager" -}}
{{ if and .Values.webhook.enabled .Values.webhook.certManager.enabled }}yes{{ end }}
{{- end }}

{{- define "larder.webhookName" -}}
{{ include "larder.name" . }}-webhook
{{- end }}

{{/* By which the API server reaches the webhook's pods, and these the registry. */}}
{{- define "larder.webhookHosts" -}}
{{- $namespace := .Release.Namespace -}}
{{- $hosts := list -}}
{{- range list (include "larder.webhookName" .) (printf "%s-internal" (include "larder.name" .)) }}{{ $hosts = append $hosts (printf "%s.%s.svc" . $namespace) }}{{ end -}}
{{- toYaml $hosts -}}
{{- end }}

{{/* Which rules the webhook and the policy follow, also for larder kube off and its like, which ask the cluster alone. */}}
{{- define "larder.rules" -}}
{{- $hub := list "docker.io" "index.docker.io" "registry-1.docker.io" -}}
{{- $caches := dict -}}
{{- range .Values.config.upstreams | default (list (dict "name" "docker-hub")) -}}
{{- $upstream := . -}}
{{- range .registries | default (ternary $hub list (eq .name "docker-hub")) -}}{{ $_ := set $caches . $upstream.name }}{{ end -}}
{{- end -}}
{{- $optOut := deepCopy (dig "kubernetes" "optOut" dict .Values.config) -}}
{{- if not $optOut.namespaces -}}
{{- $_ := set $optOut "namespaces" (include "larder.excluded" . | fromYamlArray) -}}
{{- end -}}
{{- if not $optOut.owners -}}
{{- $_ := set $optOut "owners" (list "Cluster.postgresql.cnpg.io" "Pooler.postgresql.cnpg.io" "StrimziPodSet.core.strimzi.io") -}}
{{- end -}}
{{- dict "host" (urlParse .Values.publicURL).host "caches" $caches "optOut" $optOut | toJson -}}
{{- end }}

{{/* Namespaces that the API server does not ask about. */}}
{{- define "larder.excluded" -}}
{{- concat (list "kube-system" .Release.Namespace) .Values.webhook.excludedNamespaces | uniq | toYaml -}}
{{- end }}

{{/* What the forms in files are filled with; larder kube fills them, too. */}}
{{- define "larder.form" -}}
{{- $rules := include "larder.rules" . | fromJson -}}
{{- $caches := list -}}
{{- range $registry, $project := $rules.caches }}{{ $caches = append $caches (dict "Registry" $registry "Project" $project) }}{{ end -}}
{{- dict "Host" $rules.host "Caches" $caches "Note" (toJson $rules) "NoteKey" "larder.dev/rules" "Labels" (include "larder.rewritingLabels" . | fromYaml | toJson) "Namespace" .Release.Namespace
  "Label" "larder.dev/pull-through-cache" "Disabled" "disabled" | toJson -}}
{{- end }}

{{/* The admission policy's: its rules, and the switch, which keeps what it says. */}}
{{- define "larder.policyForm" -}}
{{- $optOut := (include "larder.rules" . | fromJson).optOut -}}
{{- $namespaces := list -}}
{{- range $optOut.namespaces }}{{ $namespaces = append $namespaces (regexQuoteMeta . | replace "\\*" ".*") }}{{ end -}}
{{- $switch := (lookup "v1" "ConfigMap" .Release.Namespace "larder-rewriting").data | default dict -}}
{{- merge (include "larder.form" . | fromJson) (dict "MaxName" 255 "Owners" $optOut.owners "OwnSecret" "larder-pull"
  "Namespaces" (printf "^(%s)$" (join "|" $namespaces)) "Annotations" (concat (list "larder.dev/pull-through-cache") ($optOut.annotations | default list))
  "Switch" "larder-rewriting" "On" "true" "Enabled" ($switch.enabled | default "true")) | toJson -}}
{{- end }}

{{/* Called with a list of the chart's context and where pods of Larder's own program reach the registry. */}}
{{- define "larder.podForm" -}}
{{- $url := index . 1 -}}
{{- with index . 0 -}}
{{- $form := include "larder.form" . | fromJson -}}
{{- $hub := get (include "larder.rules" . | fromJson).caches "docker.io" -}}
{{- $registries := list -}}
{{- range $form.Caches }}{{ if or (eq .Registry "docker.io") (ne .Project $hub) }}{{ $registries = append $registries . }}{{ end }}{{ end -}}
{{- $ca := ternary (printf "%s\n" (.Values.tls.ca | trim | indent 4)) "" (ne .Values.tls.ca "") -}}
{{- merge $form (dict "URL" ($url | default .Values.publicURL | trimSuffix "/") "CA" $ca "Switch" "larder-rewriting" "Registries" $registries
  "Image" (include "larder.image" .) "PullPolicy" .Values.image.pullPolicy "PullSecrets" (ternary (toJson .Values.imagePullSecrets) "" (gt (len .Values.imagePullSecrets) 0))) | toJson -}}
{{- end -}}
{{- end }}

{{- define "larder.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "larder.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "larder.scheduling" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* The configuration file: what config says, and above it what the values decide. */}}
{{- define "larder.config" -}}
{{- $own := dict "listen" ":5000" -}}
{{- if .Values.metrics.enabled }}{{ $_ := set $own "metrics" (dict "listen" ":9090") }}{{ end -}}
{{- if .Values.database.existingSecret }}{{ $_ := set $own "databaseFile" "/etc/larder/database/url" }}{{ end -}}
{{- if .Values.storage.url }}{{ $_ := set $own "storage" .Values.storage.url }}{{ end -}}
{{- if .Values.credentialKey.existingSecret }}{{ $_ := set $own "credentialKeyFile" "/etc/larder/credential-key/key" }}{{ end -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ := set $own "tls" (dict "certFile" "/etc/larder/tls/tls.crt" "keyFile" "/etc/larder/tls/tls.key") -}}
{{- else if .Values.tls.selfSigned -}}
{{- $_ := set $own "tls" (dict "selfSigned" true) -}}
{{- end -}}
{{- if .Values.webhook.enabled -}}
{{- $namespace := .Release.Namespace -}}
{{- $webhook := dict "listen" ":9443" -}}
{{- if include "larder.certManager" . -}}
{{- $_ := set $webhook "tls" (dict "certFile" "/etc/larder/webhook-tls/tls.crt" "keyFile" "/etc/larder/webhook-tls/tls.key") -}}
{{- else -}}
{{- $_ := set $webhook "secret" (printf "%s/larder-webhook" $namespace) -}}
{{- $_ := set $webhook "names" (include "larder.webhookHosts" . | fromYamlArray) -}}
{{- end -}}
{{- if not (dig "kubernetes" "optOut" "namespaces" list .Values.config) -}}
{{- $_ := set $webhook "optOut" (dict "namespaces" (include "larder.excluded" . | fromYamlArray)) -}}
{{- end -}}
{{- $_ := set $own "kubernetes" $webhook -}}
{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) -}}
{{- end }}

{{/* The volume of /var/lib/larder: with a shared state, what is under way, and else all. */}}
{{- define "larder.data" -}}
{{- if not .Values.persistence.enabled -}}
emptyDir: {}
{{- else if include "larder.shared" . -}}
ephemeral:
  volumeClaimTemplate:
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .Values.persistence.storageClass }}
      storageClassName: {{ . }}
      {{- end }}
      resources: {requests: {storage: {{ .Values.persistence.size }}}}
{{- else -}}
persistentVolumeClaim: {claimName: {{ .Values.persistence.existingClaim | default (include "larder.name" .) }}}
{{- end }}
{{- end }}
