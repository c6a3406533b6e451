{{/* Labels that all objects of a release have, and by which its pods are found. */}}
{{- define "conrec.labels" -}}
app.kubernetes.io/name: conrec
app.kubernetes.io/part-of: conrec
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* An image: (list $ "coordinator"). */}}
{{- define "conrec.image" -}}
{{- $ := index . 0 -}}
{{- with $.Values.image.registry }}{{ . }}/{{ end }}conrec-{{ index . 1 }}:{{ $.Values.image.tag | default $.Chart.AppVersion }}
{{- end }}

{{/* What coordinator and workers have in common: how a Job of theirs ends. (The name of the container.) */}}
{{- define "conrec.failures" -}}
podReplacementPolicy: Failed
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
          status: "True"
    - action: Ignore
      onExitCodes:
        containerName: {{ . }}
        operator: In
        values: [75]
    - action: FailJob
      onExitCodes:
        containerName: {{ . }}
        operator: In
        values: {{ get (dict "coordinator" "[15, 64, 65, 78]" "worker" "[64, 65, 78]" "nightly" "[10, 11, 12, 14, 64, 65, 78]") . }}
{{- end }}

{{/* The beginning of a pod's spec: (list $ "coordinator"). */}}
{{- define "conrec.pod" -}}
{{- $ := index . 0 -}}
{{- $program := index $.Values (index . 1) -}}
restartPolicy: Never
terminationGracePeriodSeconds: 60
serviceAccountName: conrec-{{ ternary "submitter" (index . 1) (not (empty $.Values.nightly.template)) }}
{{- if $.Values.volcano.enabled }}
schedulerName: volcano
{{- end }}
automountServiceAccountToken: {{ not (empty $.Values.nightly.template) }}
enableServiceLinks: false
{{- with $.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $program.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- $tolerations := $program.tolerations }}
{{- if and $.Values.gpu.enabled (eq (index . 1) "worker") }}
{{- $tolerations = append $tolerations (dict "key" "nvidia.com/gpu" "operator" "Exists" "effect" "NoSchedule") }}
{{- end }}
{{- with $tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/* What no container may do, and where its last words go. */}}
{{- define "conrec.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
terminationMessagePolicy: FallbackToLogsOnError
{{- end }}

{{/* The volume with a role's certificates: (list $ "coordinator"). */}}
{{- define "conrec.certificates" -}}
{{- $ := index . 0 -}}
{{- if not $.Values.trustedNetwork.enabled }}
- name: tls
  secret:
    secretName: conrec-{{ index . 1 }}-tls
    defaultMode: 0440
    {{- if $.Values.certManager.enabled }}
    items:
      - {key: ca.crt, path: ca.pem}
      - {key: tls.crt, path: cert.pem}
      - {key: tls.key, path: key.pem}
    {{- end }}
{{- end }}
{{- end }}

{{/* What puts a Job or a JobSet into a queue of Kueue. */}}
{{- define "conrec.queue" -}}
{{- with .Values.queue }}
kueue.x-k8s.io/queue-name: {{ . }}
{{- end }}
{{- with .Values.queuePriority }}
kueue.x-k8s.io/priority-class: {{ . }}
{{- end }}
{{- end }}

{{/* Labels of a Job: (list $ "coordinator"). */}}
{{- define "conrec.jobLabels" -}}
{{ include "conrec.labels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- include "conrec.queue" (index . 0) }}
{{- end }}

{{/* Labels and annotations of pods: (list $ "coordinator"). */}}
{{- define "conrec.podMetadata" -}}
{{- $ := index . 0 -}}
labels:
  {{- include "conrec.labels" $ | nindent 2 }}
  app.kubernetes.io/component: {{ index . 1 }}
  {{- with $.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if $.Values.volcano.enabled }}
annotations:
  scheduling.k8s.io/group-name: {{ $.Release.Name }}
{{- end }}
{{- end }}

{{- define "conrec.claim" -}}
{{ .Values.store.volume.existingClaim | default (printf "%s-runs" .Release.Name) }}
{{- end }}
