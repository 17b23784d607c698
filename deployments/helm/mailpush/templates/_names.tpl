{{- /*
SPDX-FileCopyrightText: The mailpush authors
SPDX-License-Identifier: Apache-2.0
*/ -}}

{{- /* The name in front of everything. A release called mailpush does not say it twice. */ -}}
{{- define "mailpush.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* What selects the pods of one service: a dict of root and name. */ -}}
{{- define "mailpush.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .name }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "mailpush.labels" -}}
{{ include "mailpush.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "mailpush.metadata" -}}
name: {{ include "mailpush.fullname" .root }}{{ with .name }}-{{ . }}{{ end }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "mailpush.labels" . | nindent 2 }}
{{- end -}}

{{- define "mailpush.image" -}}
{{- $image := .root.Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end -}}
{{- with $image.repository }}{{ . }}/{{ end -}}
{{- .name }}:{{ default .root.Chart.AppVersion $image.tag }}
{{- end -}}

{{- /* A Secret that is named, or the one that is expected: a dict of root, named, suffix. */ -}}
{{- define "mailpush.secret" -}}
{{- default (printf "%s-%s" (include "mailpush.fullname" .root) .suffix) .named -}}
{{- end -}}

{{- /* An address to listen on, on all interfaces. */ -}}
{{- define "mailpush.listen" -}}
{{- ternary "[::]" "0.0.0.0" .root.Values.ipv6 -}}:{{ .port }}
{{- end -}}

{{- /* Where the others reach a service. */ -}}
{{- define "mailpush.address" -}}
{{ include "mailpush.fullname" .root }}-{{ .name }}:{{ .port }}
{{- end -}}

{{- /* The backend of a mail store that says none: imapidle, unless that is disabled. */ -}}
{{- define "mailpush.backend" -}}
{{- $first := "imapidle" -}}
{{- range $backend := list "mailnotify" "dovecot" "imapidle" -}}
{{- if include "mailpush.enabled" (dict "root" $ "backend" $backend) }}{{ $first = $backend }}{{ end -}}
{{- end -}}
{{- $first -}}
{{- end -}}

{{- /* Whether workers have a backend: a dict of root and backend. */ -}}
{{- define "mailpush.enabled" -}}
{{- if eq "enabled" (get .root.Values.packages.status (printf "push-%s" .backend)) -}}true{{- end -}}
{{- end -}}
