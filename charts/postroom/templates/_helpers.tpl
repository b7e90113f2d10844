{{/* Name of everything, unless something is told apart behind it. */}}
{{- define "postroom.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the StatefulSet and the Service select by; never changes for a release. */}}
{{- define "postroom.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of things that are not the daemon's own pod. */}}
{{- define "postroom.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "postroom.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "postroom.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "postroom.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "postroom.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{/* How people reach it: as told, or by the host of ingress or route. */}}
{{- define "postroom.externalUrl" -}}
{{- if .Values.externalUrl -}}
{{ .Values.externalUrl }}
{{- else if and .Values.ingress.enabled .Values.ingress.host -}}
{{ ternary "https" "http" (ne .Values.ingress.tlsSecret "") }}://{{ .Values.ingress.host }}
{{- else if and .Values.httpRoute.enabled .Values.httpRoute.hostnames -}}
https://{{ first .Values.httpRoute.hostnames }}
{{- end -}}
{{- end -}}

{{/* Paths that lead in from outside, beside `/` itself: the page, the API and the OAuth2 redirect.
     A test compares them with the routes of the daemon. */}}
{{- define "postroom.publicPaths" -}}
- /accounts
- /api
- /assets
- /configuration
- /customers
- /mails
- /me
- /notifications
- /oauth2
- /outbox
- /quarantine
- /servers
- /sign-in
- /sign-out
- /tickets
{{- end -}}

{{/* Paths for Prometheus, the kubelet and the administrator. */}}
{{- define "postroom.operationPaths" -}}
- /metrics
- /-
{{- end -}}

{{/* The files of the configuration as they lie in a ConfigMap. */}}
{{- define "postroom.inline" -}}
{{- range $name, $file := .Values.config.inline }}
{{ $name | quote }}: |
  {{- if kindIs "string" $file }}
  {{- $file | nindent 2 }}
  {{- else }}
  {{- toYaml $file | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where the daemon and the check read the configuration. */}}
{{- define "postroom.configArgs" -}}
{{- if .Values.config.inline }}
- --config=/etc/postroom/inline
{{- end }}
{{- range .Values.config.existingConfigMaps }}
- --config=/etc/postroom/maps/{{ . }}
{{- end }}
{{- if .Values.config.git.enabled }}
- --config=/etc/postroom/git/current{{ with .Values.config.git.path }}/{{ trimAll "/" . }}{{ end }}
{{- end }}
{{- if .Values.secrets.existingSecrets }}
- --secrets-dir=/etc/postroom/secrets
{{- end }}
{{- end -}}

{{/* 288 is 0440: what fsGroup gives to the daemon and to nobody else. */}}
{{/* Whole directories, never a subPath: only those follow a change. */}}
{{- define "postroom.configMounts" -}}
{{- if .Values.config.inline }}
- {name: inline, mountPath: /etc/postroom/inline, readOnly: true}
{{- end }}
{{- range $number, $name := .Values.config.existingConfigMaps }}
- {name: map-{{ $number }}, mountPath: /etc/postroom/maps/{{ $name }}, readOnly: true}
{{- end }}
{{- if .Values.config.git.enabled }}
- {name: git, mountPath: /etc/postroom/git, readOnly: true}
{{- end }}
{{- if .Values.secrets.existingSecrets }}
- {name: secrets, mountPath: /etc/postroom/secrets, readOnly: true}
{{- end }}
{{- end -}}

{{/* Volumes of the configuration; `inline` names the ConfigMap of the files in the values. */}}
{{- define "postroom.configVolumes" -}}
{{- $values := .root.Values -}}
{{- if $values.config.inline }}
- name: inline
  configMap: {name: {{ .inline }}}
{{- end }}
{{- range $number, $name := $values.config.existingConfigMaps }}
- name: map-{{ $number }}
  configMap: {name: {{ $name }}}
{{- end }}
{{- if $values.config.git.enabled }}
- name: git
  emptyDir: {}
- name: git-tmp
  emptyDir: {}
{{- with $values.config.git.existingSecret }}
- name: git-secret
  secret: {secretName: {{ . }}, defaultMode: 288}
{{- end }}
{{- end }}
{{- with $values.secrets.existingSecrets }}
- name: secrets
  projected:
    defaultMode: 288
    sources:
      {{- range . }}
      - secret: {name: {{ . }}}
      {{- end }}
{{- end }}
{{- end -}}

{{/* git-sync: once before the start, then beside the daemon. It flips a link, which is seen. */}}
{{- define "postroom.gitSync" -}}
{{- $git := .root.Values.config.git -}}
- name: {{ .name }}
  image: {{ $git.image }}
  env:
    - {name: GITSYNC_REPO, value: {{ $git.repository | quote }}}
    - {name: GITSYNC_REF, value: {{ $git.ref | quote }}}
    - {name: GITSYNC_ROOT, value: /git}
    - {name: GITSYNC_LINK, value: current}
    - {name: GITSYNC_DEPTH, value: "1"}
    - {name: GITSYNC_PERIOD, value: {{ $git.period | quote }}}
    {{- if .once }}
    - {name: GITSYNC_ONE_TIME, value: "true"}
    {{- end }}
    {{- if $git.existingSecret }}
    {{- if eq $git.auth "ssh" }}
    - {name: GITSYNC_SSH_KEY_FILE, value: /etc/git-secret/ssh}
    - {name: GITSYNC_SSH_KNOWN_HOSTS_FILE, value: /etc/git-secret/known_hosts}
    {{- else }}
    - {name: GITSYNC_USERNAME, valueFrom: {secretKeyRef: {name: {{ $git.existingSecret }}, key: username}}}
    - {name: GITSYNC_PASSWORD_FILE, value: /etc/git-secret/password}
    {{- end }}
    {{- end }}
    - {name: HOME, value: /tmp}
  # The user that its image knows by name, which ssh wants.
  securityContext:
    {{- merge (dict "runAsUser" 65533) .root.Values.containerSecurityContext | toYaml | nindent 4 }}
  resources:
    {{- toYaml $git.resources | nindent 4 }}
  volumeMounts:
    - {name: git, mountPath: /git}
    - {name: git-tmp, mountPath: /tmp}
    {{- if $git.existingSecret }}
    - {name: git-secret, mountPath: /etc/git-secret, readOnly: true}
    {{- end }}
{{- end -}}

{{/* Says at once what no cluster would. */}}
{{- define "postroom.validate" -}}
{{- if not (or .Values.config.inline .Values.config.existingConfigMaps .Values.config.git.enabled) -}}
{{- fail "there is no configuration: set config.inline, config.existingConfigMaps or config.git" -}}
{{- end -}}
{{- if and .Values.config.git.enabled (not .Values.config.git.repository) -}}
{{- fail "config.git.enabled needs config.git.repository" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled -}}
{{- fail "serviceMonitor and podMonitor would scrape the same pod twice: enable one of them" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.enabled needs ingress.host" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs" -}}
{{- end -}}
{{- end -}}
