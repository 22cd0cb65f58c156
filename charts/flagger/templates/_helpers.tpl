{{/* Names: at most 63 characters, without a hyphen at the end. */}}
{{- define "flagger.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "flagger.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "flagger.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "flagger.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "flagger.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What selects the pods. A Deployment's selector can never change: neither may this. */}}
{{- define "flagger.selectorLabels" -}}
app.kubernetes.io/name: {{ include "flagger.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "flagger.labels" -}}
helm.sh/chart: {{ include "flagger.chart" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "flagger.selectorLabels" . }}
{{- end -}}

{{/* The proxy of a notifier: as the flag is called, or by one of the spellings that guides have. */}}
{{- define "flagger.proxy" -}}
{{- $proxy := default "" .proxy -}}
{{- if .proxyUrl -}}
{{- .proxyUrl -}}
{{- else if index . "proxy-url" -}}
{{- index . "proxy-url" -}}
{{- else if kindIs "map" $proxy -}}
{{- default "" $proxy.url -}}
{{- else -}}
{{- $proxy -}}
{{- end -}}
{{- end -}}

{{/*
The rules of the role, as YAML: {rules: [...], clusterRules: [...]}. files/rules.yaml is generated from what the program says that it does.
Any Canary may name its own provider, so without `providers` every provider is allowed.
clusterRules are those for objects without namespace, which only a ClusterRole can grant.
*/}}
{{- define "flagger.rules" -}}
{{- $source := .Files.Get "files/rules.yaml" | fromYaml -}}
{{- $rules := $source.core -}}
{{- if .Values.leaderElection.enabled -}}
{{- $rules = concat $rules $source.leaderElection -}}
{{- end -}}
{{- if .Values.configTracking.enabled -}}
{{- $rules = concat $rules $source.configTracking -}}
{{- end -}}
{{- $clusterRules := $source.cluster -}}
{{- $names := list -}}
{{- if .Values.providers -}}
{{- range prepend .Values.providers (default "istio" .Values.meshProvider) -}}
{{- $wanted := toString . -}}
{{- $found := "" -}}
{{- range $name, $_ := $source.providers -}}
{{- if and (or (eq $name $wanted) (hasPrefix (printf "%s:" $name) $wanted)) (gt (len $name) (len $found)) -}}
{{- $found = $name -}}
{{- end -}}
{{- end -}}
{{- $names = append $names $found -}}
{{- end -}}
{{- else -}}
{{- $names = keys $source.providers | sortAlpha -}}
{{- end -}}
{{- range uniq (without $names "") -}}
{{- $provider := index $source.providers . -}}
{{- $rules = concat $rules (default list $provider.rules) -}}
{{- $clusterRules = concat $clusterRules (default list $provider.clusterRules) -}}
{{- end -}}
{{- dict "rules" (uniq $rules) "clusterRules" (uniq $clusterRules) | toYaml -}}
{{- end -}}
