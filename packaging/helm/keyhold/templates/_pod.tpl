{{/* The parts that the deployment and the job of `keyhold init` share. */}}
{{- define "keyhold.labels" -}}
app.kubernetes.io/name: keyhold
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "keyhold.name" -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" }}
{{- end -}}

{{- define "keyhold.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* Refuses combinations that the schema cannot express. */}}
{{- define "keyhold.check" -}}
{{- if and (not .Values.store.url) (gt (int .Values.replicaCount) 1) }}
{{- fail "Several replicas need PostgreSQL. Set store.url, or replicaCount to 1." }}
{{- end }}
{{- if and .Values.store.migrations.url (not .Values.store.url) }}
{{- fail "store.migrations is for PostgreSQL. Set store.url for the nodes." }}
{{- end }}
{{- if and (not .Values.store.url) (not .Values.persistence.existingClaim) }}
{{- fail "A vault in SQLite needs a volume. Set persistence.existingClaim, or store.url for PostgreSQL." }}
{{- end }}
{{- if and .Values.persistence.volumePermissions (not .Values.persistence.existingClaim) }}
{{- fail "persistence.volumePermissions is for a claim. Set persistence.existingClaim." }}
{{- end }}
{{- if not (or .Values.rootKey.existingSecret .Values.rootKey.source) }}
{{- fail "The vault needs a root key. Set rootKey.existingSecret or rootKey.source." }}
{{- end }}
{{- if and .Values.ingress.enabled (not (and .Values.ingress.host .Values.publicUrl)) }}
{{- fail "An ingress needs ingress.host and publicUrl." }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.serviceMonitor.apiKeySecret.name) }}
{{- fail "Metrics need an API key. Set metrics.serviceMonitor.apiKeySecret.name." }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.tls.existingSecret }}
{{- if not (or .Values.publicUrl .Values.metrics.serviceMonitor.tlsConfig.serverName) }}
{{- fail "Prometheus verifies a name in the certificate. Set publicUrl or metrics.serviceMonitor.tlsConfig.serverName." }}
{{- end }}
{{- end }}
{{- if and .Values.settings.KEYHOLD_TRANSIT_KUBERNETES_ROLE (not .Values.serviceAccount.existingAccount) }}
{{- fail "The jobs run before the account of the chart exists. Create an account for the role, and set serviceAccount.existingAccount." }}
{{- end }}
{{- end -}}

{{- define "keyhold.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "keyhold.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "keyhold.volumePermissions" -}}
{{- if .Values.persistence.volumePermissions }}
{{- $path := ternary "/data/keys" "/data" (ne .Values.store.url "") }}
initContainers:
  # The group and mode that the kubelet sets with fsGroup, without access for others.
  - name: volume-permissions
    image: {{ include "keyhold.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: [sh, -c, {{ printf "chgrp 65532 %s && chmod 2770 %s" $path $path | quote }}]
    resources: {{- toYaml .Values.resources | nindent 6 }}
    securityContext:
      runAsNonRoot: false
      runAsUser: 0
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
        add: [CHOWN, FOWNER]
    volumeMounts:
      - { name: {{ base $path }}, mountPath: {{ $path }} }
{{- end }}
{{- end -}}

{{- define "keyhold.env" -}}
# Prometheus uses the address of the pod, clients in the cluster the names of the service.
- name: POD_IP
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
- name: KEYHOLD_ALLOWED_HOSTS
  value: {{ include "keyhold.hosts" . | quote }}
- name: KEYHOLD_PORT
  value: "8787"
- name: KEYHOLD_DRAIN_SECONDS
  value: {{ .Values.drainSeconds | quote }}
- name: KEYHOLD_ROOT_KEY
  value: {{ .Values.rootKey.source | default "file:/run/secrets/keyhold-root/root.key" | quote }}
{{- with .Values.store.url }}
- name: KEYHOLD_STORE
  value: {{ . | quote }}
{{- end }}
{{- if .Values.store.passwordSecret.name }}
- name: KEYHOLD_STORE_PASSWORD_FILE
  value: /run/secrets/keyhold-store/password
{{- end }}
{{- with .Values.publicUrl }}
- name: KEYHOLD_PUBLIC_URL
  value: {{ . | quote }}
{{- end }}
{{- if .Values.tls.existingSecret }}
- name: KEYHOLD_TLS_CERT
  value: /run/secrets/keyhold-tls/tls.crt
- name: KEYHOLD_TLS_KEY
  value: /run/secrets/keyhold-tls/tls.key
{{- else }}
- name: KEYHOLD_BEHIND_PROXY
  value: "true"
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range .Values.secretSettings }}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef: { name: {{ .name | quote }}, key: {{ .key | quote }} }
{{- end }}
{{- end -}}

{{- define "keyhold.hosts" -}}
{{- $name := include "keyhold.name" . }}
{{- $names := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) }}
{{- $names = append $names (printf "%s.%s.svc.%s" $name .Release.Namespace .Values.clusterDomain) }}
{{- concat (list "$(POD_IP)") $names .Values.allowedHosts | join "," }}
{{- end -}}

{{- define "keyhold.mounts" -}}
- { name: data, mountPath: /data }
{{- if and .Values.store.url .Values.persistence.existingClaim }}
- { name: keys, mountPath: /data/keys }
{{- end }}
- { name: tmp, mountPath: /tmp }
{{- if .Values.settings.KEYHOLD_TRANSIT_KUBERNETES_ROLE }}
- { name: account-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true }
{{- end }}
{{- if not .Values.rootKey.source }}
- { name: root-key, mountPath: /run/secrets/keyhold-root, readOnly: true }
{{- end }}
{{- if or .Values.store.passwordSecret.name .Values.store.caSecret.name }}
- { name: store, mountPath: /run/secrets/keyhold-store, readOnly: true }
{{- end }}
{{- if .Values.tls.existingSecret }}
- { name: tls, mountPath: /run/secrets/keyhold-tls, readOnly: true }
{{- end }}
{{- end -}}

{{/* The files of secrets stay of root and belong to the group of the pod. */}}
{{- define "keyhold.volumes" -}}
- name: data
{{- if .Values.store.url }}
  emptyDir: {}
{{- else }}
  persistentVolumeClaim: { claimName: {{ .Values.persistence.existingClaim | quote }} }
{{- end }}
{{- if and .Values.store.url .Values.persistence.existingClaim }}
- name: keys
  persistentVolumeClaim: { claimName: {{ .Values.persistence.existingClaim | quote }} }
{{- end }}
- name: tmp
  emptyDir: {}
{{- if .Values.settings.KEYHOLD_TRANSIT_KUBERNETES_ROLE }}
- name: account-token
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: { path: token, expirationSeconds: 3600 }
{{- end }}
{{- if not .Values.rootKey.source }}
- name: root-key
  secret:
    secretName: {{ .Values.rootKey.existingSecret | quote }}
    defaultMode: 0440
    items: [{ key: {{ .Values.rootKey.key | quote }}, path: root.key }]
{{- end }}
{{- if or .Values.store.passwordSecret.name .Values.store.caSecret.name }}
- name: store
  projected:
    defaultMode: 0440
    sources:
{{- with .Values.store.passwordSecret }}{{ if .name }}
      - secret: { name: {{ .name | quote }}, items: [{ key: {{ .key | quote }}, path: password }] }
{{- end }}{{ end }}
{{- with .Values.store.caSecret }}{{ if .name }}
      - secret: { name: {{ .name | quote }}, items: [{ key: {{ .key | quote }}, path: ca.crt }] }
{{- end }}{{ end }}
{{- end }}
{{- with .Values.tls.existingSecret }}
- name: tls
  secret: { secretName: {{ . | quote }}, defaultMode: 0440 }
{{- end }}
{{- end -}}

{{- define "keyhold.scheduling" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
