{{- define "relay.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "relay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "relay.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "relay.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "relay.selector" -}}
app.kubernetes.io/name: {{ include "relay.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "relay.labels" -}}
{{ include "relay.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | quote }}
{{- end -}}

{{- define "relay.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag | replace "+" "-") -}}
{{- end -}}
{{- end -}}

{{- define "relay.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "relay.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* A variable's value as text: helm reads whole numbers as floats, which would print 1000000 as 1e+06. */}}
{{- define "relay.text" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{/* The port of an address such as :9464, or nothing if it is off. */}}
{{- define "relay.port" -}}
{{- if ne . "off" }}{{ splitList ":" . | last }}{{ end -}}
{{- end -}}

{{- define "relay.metricsPort" -}}
{{- include "relay.port" (.Values.config.RELAY_METRICS_ADDR | default ":9464") -}}
{{- end -}}

{{- define "relay.ackPort" -}}
{{- include "relay.port" (.Values.config.RELAY_ACK_ADDR | default "off") -}}
{{- end -}}

{{/* The port of the message centre if other pods can reach it: not while it listens on the loopback, as by default. */}}
{{- define "relay.adminPort" -}}
{{- $address := .Values.config.RELAY_ADMIN_ADDR | default "off" -}}
{{- if not (regexMatch "^(127\\.|localhost:|\\[::1\\])" $address) }}{{ include "relay.port" $address }}{{ end -}}
{{- end -}}

{{/* RELAY_SHUTDOWN_GRACE in seconds, parts of a second rounded up. */}}
{{- define "relay.grace" -}}
{{- $text := .Values.config.RELAY_SHUTDOWN_GRACE | default "20s" | replace "ms" "x" -}}
{{- $hours := regexFind "[0-9]+h" $text | trimSuffix "h" | default "0" | int -}}
{{- $minutes := regexFind "[0-9]+m" $text | trimSuffix "m" | default "0" | int -}}
{{- $seconds := regexFind "[0-9.]+s" $text | trimSuffix "s" | default "0" | float64 | ceil | int -}}
{{- add (mul $hours 3600) (mul $minutes 60) $seconds (ternary 1 0 (contains "x" $text)) -}}
{{- end -}}

{{- define "relay.terminationGrace" -}}
{{- $grace := include "relay.grace" . | int -}}
{{- $set := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $set -}}
{{- add $grace 15 -}}
{{- else if le (int $set) $grace -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, but RELAY_SHUTDOWN_GRACE is %d seconds: set it higher, so that the relay can write its last outcomes" (int $set) $grace) -}}
{{- else -}}
{{- int $set -}}
{{- end -}}
{{- end -}}

{{/* What helm's schema cannot say. */}}
{{- define "relay.check" -}}
{{- if not (include "relay.metricsPort" .) -}}
{{- fail "config.RELAY_METRICS_ADDR is off: the probes need it" -}}
{{- end -}}
{{- if regexMatch "^(127\\.|localhost:|\\[::1\\])" (.Values.config.RELAY_METRICS_ADDR | default ":9464") -}}
{{- fail "config.RELAY_METRICS_ADDR is a loopback address: the probes come from outside of the pod" -}}
{{- end -}}
{{- if not (or .Values.secrets.RELAY_DATABASE_URL (include "relay.ownDatabaseURL" .)) -}}
{{- fail "secrets.RELAY_DATABASE_URL is not set: name the secret and the key that hold the database's URL" -}}
{{- end -}}
{{- if and (include "relay.adminPort" .) (not .Values.secrets.RELAY_ADMIN_TOKEN) -}}
{{- fail "config.RELAY_ADMIN_ADDR is no loopback address: name the secret and the key of secrets.RELAY_ADMIN_TOKEN" -}}
{{- end -}}
{{- if ne (empty .Values.config.RELAY_ACK_URL) (empty (include "relay.ackPort" .)) -}}
{{- fail "config.RELAY_ACK_URL and config.RELAY_ACK_ADDR belong together: set both or none" -}}
{{- end -}}
{{- end -}}

{{/* Whether extraEnv has the database's URL, as where another operator's secret is put together from parts. */}}
{{- define "relay.ownDatabaseURL" -}}
{{- range .Values.extraEnv }}{{ if has .name (list "RELAY_DATABASE_URL" "RELAY_DATABASE_URL_FILE" "DATABASE_URL") }}yes{{ end }}{{ end -}}
{{- end -}}
