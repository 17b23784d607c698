{{- /*
SPDX-FileCopyrightText: The mailpush authors
SPDX-License-Identifier: Apache-2.0
*/ -}}

{{- /* What no schema can say: values that contradict each other, each with what to change. */ -}}
{{- define "mailpush.checks" -}}
{{- $v := .Values -}}
{{- $enabled := list -}}
{{- range $backend := list "dovecot" "imapidle" "mailnotify" -}}
{{- if include "mailpush.enabled" (dict "root" $ "backend" $backend) -}}
{{- $enabled = append $enabled $backend -}}
{{- end -}}
{{- end -}}
{{- if not $enabled -}}
{{- fail "packages.status: every package is disabled, so no worker could listen to anything: enable at least one" -}}
{{- end -}}
{{- range $name, $store := $v.mail.stores -}}
{{- $backend := default (include "mailpush.backend" $) $store.backend -}}
{{- if not (has $backend $enabled) -}}
{{- fail (printf "mail.stores.%s.backend: %s is not enabled: set packages.status.push-%s to enabled, or choose another backend" $name $backend $backend) -}}
{{- end -}}
{{- end -}}
{{- if and (gt (int $v.vault.replicas) 1) (not $v.push.credstorage.rdb) -}}
{{- fail "vault.replicas: with push.credstorage.rdb false credentials are in the memory of one vault: want 1" -}}
{{- end -}}
{{- if and (eq $v.mail.passwordSource "global") (or (not $v.mail.masterUser) (not $v.mail.masterPassword.existingSecret)) -}}
{{- fail "mail.passwordSource: global needs mail.masterUser and mail.masterPassword.existingSecret" -}}
{{- end -}}
{{- range $service, $section := dict "admin" $v.admin "vault" $v.vault -}}
{{- with $section.database.url -}}
{{- $login := regexFind "//[^@/]*:[^@/]*@" . -}}
{{- if and $login (ne (regexFind ":[^:@/]*@" $login) ":$(PASSWORD)@") -}}
{{- fail (printf "%s.database.url: write $(PASSWORD) in the place of the password, and name its Secret in %s.database.password" $service $service) -}}
{{- end -}}
{{- if and (contains "$(PASSWORD)" .) (not $section.database.password.existingSecret) -}}
{{- fail (printf "%s.database.password.existingSecret: is needed for the $(PASSWORD) in %s.database.url" $service $service) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $service, $section := dict "admin" $v.admin "vault" $v.vault "scheduler" $v.scheduler "worker" $v.worker -}}
{{- if lt (int $section.terminationGracePeriodSeconds) (add (int $section.preStopSeconds) 15 | int) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds: want at least 15 s more than preStopSeconds: a service takes 10 s to end in order" $service) -}}
{{- end -}}
{{- end -}}
{{- if include "mailpush.enabled" (dict "root" $ "backend" "dovecot") -}}
{{- $n := $v.worker.notify -}}
{{- if not (or $n.tls.enabled $n.allowHTTP) -}}
{{- fail "worker.notify.tls.enabled: is needed, or worker.notify.allowHTTP where the network between Dovecot and the workers is safe" -}}
{{- end -}}
{{- if and $n.clientCA.existingSecret (not $n.tls.enabled) -}}
{{- fail "worker.notify.clientCA: needs worker.notify.tls.enabled: there are no certificates without TLS" -}}
{{- end -}}
{{- if not (or $n.username $n.clientCA.existingSecret) -}}
{{- fail "worker.notify: want username, with the Secret of its password, or clientCA: nobody else may notify" -}}
{{- end -}}
{{- end -}}
{{- if and (include "mailpush.enabled" (dict "root" $ "backend" "mailnotify")) (not $v.worker.mailnotify.allow) -}}
{{- fail "worker.mailnotify.allow: want at least one prefix: datagrams are taken from nobody else" -}}
{{- end -}}
{{- include "mailpush.checkSecrets" (dict "settings" $v.extraSettings) -}}
{{- end -}}

{{- /* Settings go into a ConfigMap, where nothing secret belongs. */ -}}
{{- define "mailpush.checkSecrets" -}}
{{- range $path := list "cluster.etcd.password" "push.credstorage.passcrypt" "mail.masterPassword" "admin.database" "vault.database" "worker.notify.password" "worker.mailnotify.secret" -}}
{{- $at := $.settings -}}
{{- range $key := splitList "." $path -}}
{{- $at = kindIs "map" $at | ternary (get (kindIs "map" $at | ternary $at dict) $key) "" -}}
{{- end -}}
{{- if $at -}}
{{- fail (printf "extraSettings.%s: settings are readable by everybody who may read ConfigMaps: name a Secret" $path) -}}
{{- end -}}
{{- end -}}
{{- range $name, $store := dig "mail" "stores" dict $.settings -}}
{{- if dig "doveadm" "apiKey" "" $store -}}
{{- fail (printf "extraSettings.mail.stores.%s.doveadm.apiKey: settings are readable by everybody who may read ConfigMaps: name a Secret in mail.stores" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
