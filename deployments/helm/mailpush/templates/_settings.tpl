{{- /*
SPDX-FileCopyrightText: The mailpush authors
SPDX-License-Identifier: Apache-2.0
*/ -}}

{{- /*
The settings that all services share, as mailpush.yaml. Files are where _files.tpl puts them.
*/ -}}
{{- define "mailpush.settings" -}}
{{- $v := .Values -}}
{{- $settings := dict
  "cluster" (include "mailpush.settings.cluster" . | fromYaml)
  "identity" (dict "dir" "/etc/mailpush/tls")
  "push" (include "mailpush.settings.push" . | fromYaml)
  "mail" (include "mailpush.settings.mail" . | fromYaml)
  "imapidle" $v.imapidle
  "log" $v.log
  "admin" (include "mailpush.settings.admin" . | fromYaml)
  "vault" (include "mailpush.settings.vault" . | fromYaml)
  "scheduler" (include "mailpush.settings.scheduler" . | fromYaml)
  "worker" (include "mailpush.settings.worker" . | fromYaml)
-}}
{{- mergeOverwrite $settings (deepCopy $v.extraSettings) | toYaml -}}
{{- end -}}

{{- define "mailpush.settings.cluster" -}}
{{- $etcd := pick .Values.cluster.etcd "endpoints" "prefix" "username" -}}
{{- if .Values.cluster.etcd.password.existingSecret -}}
{{- $_ := set $etcd "passwordFile" "/etc/mailpush/etcd/password" -}}
{{- end -}}
{{- with .Values.cluster.etcd.tls -}}
{{- if .existingSecret -}}
{{- if .ca }}{{ $_ := set $etcd "caFile" "/etc/mailpush/etcd/ca.crt" }}{{ end -}}
{{- if .cert -}}
{{- $_ := set $etcd "certFile" "/etc/mailpush/etcd/tls.crt" -}}
{{- $_ := set $etcd "keyFile" "/etc/mailpush/etcd/tls.key" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- pick .Values.cluster "name" "shards" "leaseTTL" | merge (dict "etcd" $etcd) | toYaml -}}
{{- end -}}

{{- /* Whether the vault has a passphrase: in memory it makes one, unless it is given one. */ -}}
{{- define "mailpush.passphrase" -}}
{{- if or .Values.push.credstorage.rdb .Values.push.credstorage.passcrypt.existingSecret -}}true{{- end -}}
{{- end -}}

{{- define "mailpush.settings.push" -}}
{{- $storage := pick .Values.push.credstorage "enabled" "rdb" -}}
{{- if include "mailpush.passphrase" . -}}
{{- $_ := set $storage "passcryptFile" "/etc/mailpush/secrets/passcrypt" -}}
{{- end -}}
{{- $rules := list -}}
{{- range $n, $given := .Values.push.webhook.rules -}}
{{- $rule := pick $given "origin" -}}
{{- if $given.ca }}{{ $_ := set $rule "caFile" (printf "/etc/mailpush/webhooks/%d/ca.crt" $n) }}{{ end -}}
{{- if $given.certificate -}}
{{- $_ := set $rule "certFile" (printf "/etc/mailpush/webhooks/%d/tls.crt" $n) -}}
{{- $_ := set $rule "keyFile" (printf "/etc/mailpush/webhooks/%d/tls.key" $n) -}}
{{- end -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- $webhook := omit .Values.push.webhook "rules" | merge (dict "rules" $rules) -}}
{{- pick .Values.push "allowPermanentPush" "allowedClients" | merge (dict "credstorage" $storage "webhook" $webhook) | toYaml -}}
{{- end -}}

{{- define "mailpush.settings.mail" -}}
{{- $stores := dict -}}
{{- range $name, $given := .Values.mail.stores -}}
{{- $store := omit $given "ca" "doveadm" -}}
{{- $_ := set $store "backend" (default (include "mailpush.backend" $) $given.backend) -}}
{{- if $given.ca }}{{ $_ := set $store "caFile" (printf "/etc/mailpush/stores/%s/ca.crt" $name) }}{{ end -}}
{{- with $given.doveadm -}}
{{- $doveadm := omit . "apiKey" "ca" -}}
{{- if .apiKey }}{{ $_ := set $doveadm "apiKeyFile" (printf "/etc/mailpush/stores/%s/doveadm-key" $name) }}{{ end -}}
{{- if .ca }}{{ $_ := set $doveadm "caFile" (printf "/etc/mailpush/stores/%s/doveadm-ca.crt" $name) }}{{ end -}}
{{- $_ := set $store "doveadm" $doveadm -}}
{{- end -}}
{{- $_ := set $stores $name $store -}}
{{- end -}}
{{- $mail := dict "passwordSource" .Values.mail.passwordSource "stores" $stores -}}
{{- if eq .Values.mail.passwordSource "global" -}}
{{- $_ := set $mail "masterUser" .Values.mail.masterUser -}}
{{- $_ := set $mail "masterPasswordFile" "/etc/mailpush/secrets/master-password" -}}
{{- end -}}
{{- toYaml $mail -}}
{{- end -}}

{{- define "mailpush.settings.admin" -}}
listen: {{ include "mailpush.listen" (dict "root" . "port" 8443) | quote }}
tls:
  certFile: /etc/mailpush/public/tls.crt
  keyFile: /etc/mailpush/public/tls.key
internalListen: {{ include "mailpush.listen" (dict "root" . "port" 8101) | quote }}
internalAddress:
  - {{ include "mailpush.address" (dict "root" . "name" "admin-api" "port" 8101) }}
opsListen: {{ include "mailpush.listen" (dict "root" . "port" 8111) | quote }}
{{- if not .Values.admin.database.url }}
databaseFile: /etc/mailpush/secrets/database
{{- end }}
{{ pick .Values.admin "allowedOrigins" "administrators" "applications" | toYaml }}
{{- end -}}

{{- define "mailpush.settings.vault" -}}
listen: {{ include "mailpush.listen" (dict "root" . "port" 8102) | quote }}
address:
  - {{ include "mailpush.address" (dict "root" . "name" "credential-vault" "port" 8102) }}
opsListen: {{ include "mailpush.listen" (dict "root" . "port" 8112) | quote }}
{{- if and .Values.push.credstorage.rdb (not .Values.vault.database.url) }}
databaseFile: /etc/mailpush/secrets/database
{{- end }}
{{- end -}}

{{- define "mailpush.settings.scheduler" -}}
listen: {{ include "mailpush.listen" (dict "root" . "port" 8103) | quote }}
address:
  - {{ include "mailpush.address" (dict "root" . "name" "scheduler" "port" 8103) }}
opsListen: {{ include "mailpush.listen" (dict "root" . "port" 8113) | quote }}
{{- end -}}

{{- define "mailpush.settings.worker" -}}
listen: {{ include "mailpush.listen" (dict "root" . "port" 8104) | quote }}
opsListen: {{ include "mailpush.listen" (dict "root" . "port" 8114) | quote }}
capacity: {{ int64 .Values.worker.capacity }}
backends:
{{- range $backend := list "dovecot" "imapidle" "mailnotify" }}
{{- if include "mailpush.enabled" (dict "root" $ "backend" $backend) }}
  - {{ $backend }}
{{- end }}
{{- end }}
{{- if include "mailpush.enabled" (dict "root" . "backend" "dovecot") }}
{{- with .Values.worker.notify }}
notify:
  listen: {{ include "mailpush.listen" (dict "root" $ "port" 8105) | quote }}
  {{- if .username }}
  username: {{ .username | quote }}
  passwordFile: /etc/mailpush/notify/password
  {{- end }}
  {{- if .tls.enabled }}
  tls:
    certFile: /etc/mailpush/notify/tls.crt
    keyFile: /etc/mailpush/notify/tls.key
  {{- end }}
  {{- if .clientCA.existingSecret }}
  clientCAFile: /etc/mailpush/notify/client-ca.crt
  {{- end }}
  allowHTTP: {{ .allowHTTP }}
{{- end }}
{{- end }}
{{- if include "mailpush.enabled" (dict "root" . "backend" "mailnotify") }}
{{- with .Values.worker.mailnotify }}
mailnotify:
  listen: {{ include "mailpush.listen" (dict "root" $ "port" 23420) | quote }}
  {{- if .secret.existingSecret }}
  secretFile: /etc/mailpush/mailnotify/secret
  {{- end }}
  {{- pick . "allow" "loginDelimiter" "fullAddress" "window" | toYaml | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}
