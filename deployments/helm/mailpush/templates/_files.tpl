{{- /*
SPDX-FileCopyrightText: The mailpush authors
SPDX-License-Identifier: Apache-2.0
*/ -}}

{{- /*
The files of Secrets that a service reads, below /etc/mailpush/, as a dict of folders, each
a list of {secret, key, path}. No service gets what it does not read.
*/ -}}
{{- define "mailpush.files" -}}
{{- $root := .root -}}
{{- $v := $root.Values -}}
{{- $name := .name -}}
tls:
  {{- $identity := include "mailpush.secret" (dict "root" $root "named" (get $v.identity.existingSecrets $name) "suffix" (printf "%s-tls" $name)) }}
  - {secret: {{ $identity }}, key: {{ $v.identity.ca | quote }}, path: ca.crt}
  - {secret: {{ $identity }}, key: {{ default (printf "%s.crt" $name) $v.identity.cert | quote }}, path: {{ $name }}.crt}
  - {secret: {{ $identity }}, key: {{ default (printf "%s.key" $name) $v.identity.key | quote }}, path: {{ $name }}.key}
{{- if ne $name "credential-vault" }}
{{ include "mailpush.files.etcd" $root }}
{{- end }}
{{- if eq $name "admin-api" }}
{{ include "mailpush.files.admin" $root }}
{{- else if eq $name "credential-vault" }}
{{ include "mailpush.files.vault" $root }}
{{- else if eq $name "listener-worker" }}
{{ include "mailpush.files.worker" $root }}
{{- end }}
{{ include "mailpush.files.stores" (dict "root" $root "certificates" (eq $name "admin-api") "keys" (eq $name "listener-worker")) }}
{{- end -}}

{{- define "mailpush.files.etcd" -}}
{{- with .Values.cluster.etcd }}
{{- if or .password.existingSecret .tls.existingSecret }}
etcd:
  {{- with .password }}
  {{- if .existingSecret }}
  - {secret: {{ .existingSecret }}, key: {{ .key | quote }}, path: password}
  {{- end }}
  {{- end }}
  {{- with .tls }}
  {{- if and .existingSecret .ca }}
  - {secret: {{ .existingSecret }}, key: {{ .ca | quote }}, path: ca.crt}
  {{- end }}
  {{- if and .existingSecret .cert }}
  - {secret: {{ .existingSecret }}, key: {{ .cert | quote }}, path: tls.crt}
  - {secret: {{ .existingSecret }}, key: {{ .key | quote }}, path: tls.key}
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "mailpush.files.admin" -}}
public:
  {{- with .Values.admin.tls }}
  {{- $public := include "mailpush.secret" (dict "root" $ "named" .existingSecret "suffix" "admin-api-public") }}
  - {secret: {{ $public }}, key: {{ .cert | quote }}, path: tls.crt}
  - {secret: {{ $public }}, key: {{ .key | quote }}, path: tls.key}
  {{- end }}
{{- with .Values.admin.database }}
{{- if not .url }}
secrets:
  - {secret: {{ include "mailpush.secret" (dict "root" $ "named" .existingSecret "suffix" "admin-api") }}, key: {{ .key | quote }}, path: database}
{{- end }}
{{- end }}
{{- end -}}

{{- define "mailpush.files.vault" -}}
{{- $global := eq .Values.mail.passwordSource "global" -}}
{{- if or $global (include "mailpush.passphrase" .) -}}
secrets:
  {{- if include "mailpush.passphrase" . }}
  {{- with .Values.push.credstorage.passcrypt }}
  - {secret: {{ include "mailpush.secret" (dict "root" $ "named" .existingSecret "suffix" "credential-vault") }}, key: {{ .key | quote }}, path: passcrypt}
  {{- end }}
  {{- end }}
  {{- with .Values.vault.database }}
  {{- if and $.Values.push.credstorage.rdb (not .url) }}
  - {secret: {{ include "mailpush.secret" (dict "root" $ "named" .existingSecret "suffix" "credential-vault") }}, key: {{ .key | quote }}, path: database}
  {{- end }}
  {{- end }}
  {{- if $global }}
  {{- with .Values.mail.masterPassword }}
  - {secret: {{ .existingSecret }}, key: {{ .key | quote }}, path: master-password}
  {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "mailpush.files.worker" -}}
{{- $webhooks := list }}
{{- range $n, $rule := .Values.push.webhook.rules }}
{{- with $rule.ca }}{{ $webhooks = append $webhooks (dict "secret" .existingSecret "key" (default "ca.crt" .key) "path" (printf "%d/ca.crt" $n)) }}{{ end }}
{{- with $rule.certificate }}
{{- $webhooks = append $webhooks (dict "secret" .existingSecret "key" (default "tls.crt" .cert) "path" (printf "%d/tls.crt" $n)) }}
{{- $webhooks = append $webhooks (dict "secret" .existingSecret "key" (default "tls.key" .key) "path" (printf "%d/tls.key" $n)) }}
{{- end }}
{{- end }}
{{- if $webhooks }}
webhooks: {{ $webhooks | toJson }}
{{- end }}
{{- if include "mailpush.enabled" (dict "root" . "backend" "dovecot") }}
{{- with .Values.worker.notify }}
notify:
  {{- if .username }}
  - {secret: {{ include "mailpush.secret" (dict "root" $ "named" .password.existingSecret "suffix" "notify") }}, key: {{ .password.key | quote }}, path: password}
  {{- end }}
  {{- if .tls.enabled }}
  {{- $tls := include "mailpush.secret" (dict "root" $ "named" .tls.existingSecret "suffix" "notify-tls") }}
  - {secret: {{ $tls }}, key: {{ .tls.cert | quote }}, path: tls.crt}
  - {secret: {{ $tls }}, key: {{ .tls.key | quote }}, path: tls.key}
  {{- end }}
  {{- if .clientCA.existingSecret }}
  - {secret: {{ .clientCA.existingSecret }}, key: {{ .clientCA.key | quote }}, path: client-ca.crt}
  {{- end }}
{{- end }}
{{- end }}
{{- if include "mailpush.enabled" (dict "root" . "backend" "mailnotify") }}
{{- with .Values.worker.mailnotify.secret }}
{{- if .existingSecret }}
mailnotify:
  - {secret: {{ .existingSecret }}, key: {{ .key | quote }}, path: secret}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Of mail stores admin-api reads the certificates, which it hands on, and workers the keys. */ -}}
{{- define "mailpush.files.stores" -}}
{{- $files := list }}
{{- range $store, $given := .root.Values.mail.stores }}
{{- $doveadm := default dict $given.doveadm }}
{{- if $.certificates }}
{{- with $given.ca }}{{ $files = append $files (dict "secret" .existingSecret "key" (default "ca.crt" .key) "path" (printf "%s/ca.crt" $store)) }}{{ end }}
{{- with $doveadm.ca }}{{ $files = append $files (dict "secret" .existingSecret "key" (default "ca.crt" .key) "path" (printf "%s/doveadm-ca.crt" $store)) }}{{ end }}
{{- end }}
{{- if $.keys }}
{{- with $doveadm.apiKey }}{{ $files = append $files (dict "secret" .existingSecret "key" (default "doveadm-key" .key) "path" (printf "%s/doveadm-key" $store)) }}{{ end }}
{{- end }}
{{- end }}
{{- if $files }}
stores: {{ $files | toJson }}
{{- end }}
{{- end -}}
