{{- define "kipfix.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the release, with the name of the chart unless it contains it. Short enough for suffixes. */}}
{{- define "kipfix.fullname" -}}
{{- $name := printf "%s-%s" .Release.Name (include "kipfix.name" .) -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if contains (include "kipfix.name" .) .Release.Name -}}
{{- $name = .Release.Name -}}
{{- end -}}
{{- $name = $name | trunc 40 | trimSuffix "-" -}}
{{- if not (regexMatch "^[a-z][-a-z0-9]*$" $name) -}}
{{- fail (printf "invalid name %q of the Services: must begin with a letter, and have letters, digits and hyphens only; set fullnameOverride" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* Immutable labels of a component: {root, part}. The collector selects probes by the first and the last. */}}
{{- define "kipfix.selector" -}}
app.kubernetes.io/name: kipfix
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "kipfix.labels" -}}
{{ include "kipfix.selector" . }}
app.kubernetes.io/version: {{ include "kipfix.labelValue" .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: kipfix
helm.sh/chart: {{ include "kipfix.labelValue" (printf "%s-%s" .root.Chart.Name .root.Chart.Version) }}
{{- end -}}

{{/* A version as the value of a label, which has no +. Flux adds build metadata to the version of a chart. */}}
{{- define "kipfix.labelValue" -}}
{{- . | replace "+" "_" | trunc 63 | trimAll "-_." -}}
{{- end -}}

{{/* Maps as one map in YAML, in which each key is once. That of the last map wins. */}}
{{- define "kipfix.merge" -}}
{{- $all := dict -}}
{{- range . }}{{ $all = mergeOverwrite $all (default dict .) }}{{ end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* Labels of a component, with more from the values, but those that select it: {root, part, more} */}}
{{- define "kipfix.allLabels" -}}
{{- include "kipfix.merge" (list (fromYaml (include "kipfix.labels" .)) .more (fromYaml (include "kipfix.selector" .))) -}}
{{- end -}}

{{/* Node selector of a component, from its own. */}}
{{- define "kipfix.nodeSelector" -}}
{{- include "kipfix.merge" (list (dict "kubernetes.io/os" "linux") .) -}}
{{- end -}}

{{/* {root, image} */}}
{{- define "kipfix.image" -}}
{{- with .root.Values.image.registry }}{{ . }}/{{ end }}{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ default .root.Chart.AppVersion .image.tag }}{{ end -}}
{{- end -}}

{{- define "kipfix.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (printf "%s-collector" (include "kipfix.fullname" .)) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "kipfix.priorityClass" -}}
{{- $class := .Values.probe.priorityClass -}}
{{- default (ternary (printf "%s-%s-probe" .Release.Namespace (include "kipfix.fullname" .)) "" $class.create) $class.name -}}
{{- end -}}

{{- define "kipfix.collectorHost" -}}
{{ include "kipfix.fullname" . }}-collector.{{ .Release.Namespace }}.svc
{{- end -}}

{{- define "kipfix.collectorSecret" -}}
{{- default (printf "%s-collector-tls" (include "kipfix.fullname" .)) .Values.tls.collectorSecret -}}
{{- end -}}

{{- define "kipfix.probeSecret" -}}
{{- default (printf "%s-probe-tls" (include "kipfix.fullname" .)) .Values.tls.probeSecret -}}
{{- end -}}

{{/* "true" if resources of the Prometheus Operator are created. */}}
{{- define "kipfix.operator" -}}
{{- $wanted := toString .Values.prometheus.operator -}}
{{- if or (eq $wanted "true") (and (eq $wanted "auto") (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}true{{- end -}}
{{- end -}}

{{/* Settings of TLS of a port: {tls, prefix}. The Secret is mounted in /etc/kipfix/PREFIX-tls. */}}
{{- define "kipfix.tlsSettings" -}}
{{- if .tls.secretName -}}
{{ .prefix }}_tls_cert: /etc/kipfix/{{ .prefix }}-tls/tls.crt
{{ .prefix }}_tls_key: /etc/kipfix/{{ .prefix }}-tls/tls.key
{{- if .tls.clientCa }}
{{ .prefix }}_client_ca: /etc/kipfix/{{ .prefix }}-tls/ca.crt
{{- end }}
{{- else if .tls.clientCa }}
{{- fail (printf "clientCa of the %s port needs secretName, the Secret of its certificate" .prefix) }}
{{- end -}}
{{- end -}}

{{/* Scrape annotations of a component: {root, port, tls} */}}
{{- define "kipfix.scrape" -}}
{{- if and .root.Values.prometheus.annotations (ne (include "kipfix.operator" .root) "true") -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .port | quote }}
prometheus.io/path: /metrics
{{- if .tls.secretName }}
prometheus.io/scheme: https
{{- end }}
{{- end -}}
{{- end -}}

{{/* Capabilities of the probe, as a YAML list. */}}
{{- define "kipfix.probeCapabilities" -}}
{{- $all := .Values.probe.capabilities }}
{{- if .Values.probe.conntrack }}
{{- $all = uniq (append $all "NET_ADMIN") }}
{{- end }}
{{- toYaml $all }}
{{- end }}
