{{- /*
SPDX-FileCopyrightText: The mailpush authors
SPDX-License-Identifier: Apache-2.0
*/ -}}

{{- /*
The Deployment of a service: a dict of root, name, values (its section), ports (name to
number), env (a list); alone, for a service of which there must not be two, not even for a
moment; and for workers flags, which come after those of all, zone and joins, which says
that a pod counts as ready from when it has joined the cluster, whatever happens to that
later.
*/ -}}
{{- define "mailpush.deployment" -}}
{{- $zone := default "" .zone -}}
{{- $selector := dict "root" .root "name" .name -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "mailpush.metadata" (merge (dict "suffix" $zone) $selector) | nindent 2 }}
spec:
  replicas: {{ int64 .values.replicas }}
  strategy:
    {{- if .alone }}
    type: Recreate
    {{- else if eq .root.Values.antiAffinity "required" }}
    # There may be no node left for a new pod before an old one has gone.
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 1}
    {{- else }}
    # A new pod first: what it serves is never without one.
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
    {{- end }}
  selector:
    matchLabels:
      {{- include "mailpush.selector" $selector | nindent 6 }}
      {{- with $zone }}
      zone: {{ . | quote }}
      {{- end }}
  template:
    metadata:
      labels:
        {{- with .values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- include "mailpush.selector" $selector | nindent 8 }}
        {{- with $zone }}
        zone: {{ . | quote }}
        {{- end }}
      annotations:
        {{- with .values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        # Services read their settings when they start: other settings, another pod.
        checksum/config: {{ include "mailpush.settings" .root | sha256sum }}
        {{- with .root.Values.restartedFor }}
        mailpush/restarted-for: {{ . | quote }}
        {{- end }}
        {{- if .root.Values.metrics.annotations }}
        prometheus.io/scrape: "true"
        prometheus.io/port: {{ .ports.ops | quote }}
        {{- end }}
    spec:
      {{- include "mailpush.pod" . | nindent 6 }}
{{- end -}}

{{- define "mailpush.pod" -}}
automountServiceAccountToken: false
# Kubernetes would set variables of its own that begin with MAILPUSH_.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ int64 .values.terminationGracePeriodSeconds }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- include "mailpush.placement" . }}
containers:
  - name: {{ .name }}
    {{- include "mailpush.container" . | nindent 4 }}
volumes:
  - name: config
    configMap: {name: {{ include "mailpush.fullname" .root }}}
  {{- range $folder, $files := include "mailpush.files" . | fromYaml }}
  - name: {{ $folder }}
    projected:
      defaultMode: 0440
      sources:
        {{- range $files }}
        - secret:
            name: {{ .secret }}
            items: [{key: {{ .key | quote }}, path: {{ .path | quote }}}]
        {{- end }}
  {{- end }}
{{- end -}}

{{- define "mailpush.container" -}}
image: {{ include "mailpush.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [--config, /etc/mailpush/config/mailpush.yaml{{ range .flags }}, {{ . }}{{ end }}]
{{- with concat .env (default list .values.extraEnv) }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  {{- range $name, $port := .ports }}
  - {name: {{ $name }}, containerPort: {{ $port }}{{ if eq $name "mailnotify" }}, protocol: UDP{{ end }}}
  {{- end }}
{{- if .joins }}
# Mail stores are answered as long as the worker lives: while etcd is out it keeps what it
# is told. A refused connection would cost their senders far more than a late push.
startupProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: 2
  failureThreshold: 300
readinessProbe:
  httpGet: {path: /healthz, port: ops}
  periodSeconds: 5
{{- else }}
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: 5
{{- end }}
livenessProbe:
  httpGet: {path: /healthz, port: ops}
  periodSeconds: 10
  failureThreshold: 6
{{- with .values.preStopSeconds }}
# Until no Service leads here any more; the service itself starts to end after it.
lifecycle:
  preStop:
    sleep: {seconds: {{ int64 . }}}
{{- end }}
resources:
  {{- toYaml .values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: config, mountPath: /etc/mailpush/config, readOnly: true}
  {{- range $folder, $files := include "mailpush.files" . | fromYaml }}
  - {name: {{ $folder }}, mountPath: /etc/mailpush/{{ $folder }}, readOnly: true}
  {{- end }}
{{- end -}}

{{- /* Pods of one service keep apart: on different nodes, and in different zones. */ -}}
{{- define "mailpush.placement" -}}
{{- $selector := include "mailpush.selector" (dict "root" .root "name" .name) -}}
{{- $nodes := default dict .values.nodeSelector -}}
{{- if .zone -}}
{{- $nodes = merge (dict "topology.kubernetes.io/zone" .zone) $nodes -}}
{{- end -}}
{{- with $nodes }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .values.affinity }}
affinity:
  {{- toYaml .values.affinity | nindent 2 }}
{{- else if eq .root.Values.antiAffinity "required" }}
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- nindent 12 $selector }}
{{- else if eq .root.Values.antiAffinity "preferred" }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- nindent 14 $selector }}
{{- end }}
{{- if and .root.Values.topologySpread.enabled (not .zone) }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: {{ .root.Values.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- nindent 8 $selector }}
    # Those of a release of before do not count: they are about to go.
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{- /* A database's URL that is made of a value and a password. */ -}}
{{- define "mailpush.databaseEnv" -}}
{{- with .database }}
{{- if .password.existingSecret }}
- name: PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .password.existingSecret }}, key: {{ .password.key | quote }}}
{{- end }}
- name: {{ $.variable }}
  value: {{ .url | quote }}
{{- end }}
{{- end -}}

{{- define "mailpush.disruptionBudget" -}}
{{- if .root.Values.podDisruptionBudget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "mailpush.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ .root.Values.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "mailpush.selector" . | nindent 6 }}
{{- end }}
{{- end -}}

{{- /* A Service of those outside the cluster: a dict of root, name, component, service, port, protocol. */ -}}
{{- define "mailpush.outsideService" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "mailpush.metadata" . | nindent 2 }}
  {{- with .service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .service.type }}
  {{- if and .service.externalTrafficPolicy (ne .service.type "ClusterIP") }}
  externalTrafficPolicy: {{ .service.externalTrafficPolicy }}
  {{- end }}
  {{- if eq .service.type "LoadBalancer" }}
  {{- with .service.loadBalancerSourceRanges }}
  loadBalancerSourceRanges:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  selector:
    {{- include "mailpush.selector" (dict "root" .root "name" .component) | nindent 4 }}
  ports:
    - {name: {{ .port }}, port: {{ int64 .service.port }}, targetPort: {{ .port }}, protocol: {{ .protocol }}}
{{- end -}}

{{- /* A way in from outside for HTTP: a dict of root, name, ingress, port. */ -}}
{{- define "mailpush.ingress" -}}
{{- if .ingress.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "mailpush.metadata" . | nindent 2 }}
  {{- with .ingress.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with .ingress.tls }}
  tls:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    {{- range .ingress.hosts }}
    - host: {{ . | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {{ include "mailpush.fullname" $.root }}-{{ $.name }}
                port: {name: {{ $.port }}}
    {{- end }}
{{- end }}
{{- end -}}
