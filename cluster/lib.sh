# shellcheck shell=bash
# What up, down and check have in common: the phases of a cluster, their objects, and whether an object is ready.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
program=$(basename "$0")
readonly program
# A question to the API server. One that is up answers in milliseconds.
readonly request_timeout=20s
# How often what is not ready is looked at, and told about.
readonly look_seconds=2 tell_seconds=10

say() { printf '%s: %s\n' "$program" "$*" >&2; }
die() { say "error: $*"; exit 1; }
# What was wrong, and the command that tells more.
fail() { say "error: $1"; say "  look further: $2"; exit 1; }

work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT

need() {
  command -v "$1" >/dev/null || die "$1 is needed${2:+ ($2)}"
}

kube() { kubectl --request-timeout="$request_timeout" "$@"; }

# Names all clusters, for messages.
clusters() { (cd "$root/cluster/clusters" && for each in */settings; do printf '%s ' "${each%/settings}"; done); }

# Which one; the command line says.
cluster=''

# setting NAME: of the cluster's settings.env.
setting() { sed -n "s/^$1=//p" "$root/cluster/clusters/$cluster/settings/settings.env"; }

# Reads $cluster's phases into $work/phases, in the order of their dependsOn: NAME PATH TIMEOUT_SECONDS WAIT DEPENDS,ON
read_phases() {
  [[ -d $root/cluster/clusters/${cluster:-/}/settings ]] || die "no cluster ${cluster:-} is described here; there are: $(clusters)"
  need kubectl "1.31 or newer"
  need tsort coreutils
  kubectl kustomize "$root/cluster/clusters/$cluster" >"$work/flux.yaml" 2>"$work/error" ||
    die "cluster/clusters/$cluster cannot be rendered: $(<"$work/error")"
  # kustomize writes fields in one way: two spaces, one to a line, sorted.
  awk '
    function put() {
      if (name == "") return
      unit = substr(timeout, length(timeout)); seconds = timeout + 0
      if (unit == "m") seconds *= 60; else if (unit == "h") seconds *= 3600
      print name, path, seconds, wait, (depends == "" ? "-" : depends)
    }
    /^---/ { put(); name = path = timeout = wait = depends = "" }
    /^  name: / { name = $2 }
    /^  path: / { path = $2; sub(/^\.\//, "", path) }
    /^  timeout: / { timeout = $2 }
    /^  wait: / { wait = $2 }
    /^  - name: / { depends = depends (depends == "" ? "" : ",") $3 }
    END { put() }
  ' "$work/flux.yaml" >"$work/unordered"
  awk '{ print $1, $1; n = split($5, d, ","); for (i = 1; i <= n; i++) if (d[i] != "-") print d[i], $1 }' "$work/unordered" |
    tsort >"$work/order" 2>"$work/error" || die "the phases of $cluster wait for each other: $(<"$work/error")"
  local name
  : >"$work/phases"
  while read -r name; do
    grep "^$name " "$work/unordered" >>"$work/phases" ||
      die "a phase of $cluster depends on $name, which is none: see cluster/clusters/$cluster"
  done <"$work/order"
}

phase_names() { cut -d' ' -f1 "$work/phases"; }

# Who may what not everybody may, lines of NAME:TOKEN; nothing where nobody has said it.
staff() {
  local text
  text=$(kube get secret staff --namespace allezon -o jsonpath='{.data.staff}' 2>/dev/null) || return 0
  base64 -d <<<"$text" | grep -vE '^[[:space:]]*(#|$)' || true
}

# Shows which API server is meant, or ends.
say_where() {
  kube version >/dev/null 2>"$work/error" ||
    fail "no cluster answers: $(tail -n 1 "$work/error")" "kubectl config get-contexts; KUBECONFIG is ${KUBECONFIG:-not set}"
  say "$cluster, at $(kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}')" \
    "(context $(kubectl config current-context 2>/dev/null || echo none))"
}

# render PATH: writes $work/rendered (for the API server) and $work/charts (for Flux or helm).
render() {
  [[ -d $root/$1 ]] || die "$1 does not exist"
  kubectl kustomize "$root/$1" >"$work/all" 2>"$work/error" || fail "$1 cannot be rendered: $(tail -n 3 "$work/error")" "kubectl kustomize $1"
  : >"$work/rendered"; : >"$work/charts"
  awk -v kept="$work/rendered" -v charts="$work/charts" 'BEGIN { RS = "---\n" }
    { file = /(^|\n)apiVersion: (helm|source)\.toolkit\.fluxcd\.io\// ? charts : kept; printf "---\n%s", $0 >file }' "$work/all"
}

# objects FILE: KIND.GROUP NAMESPACE NAME of each object; the namespace of one that has none is -.
objects() {
  awk '
    function put() { if (kind != "") { sub(/\/.*/, "", group); print kind (group ~ /^v[0-9]/ ? "" : "." group), space, name } }
    /^---/ { put(); kind = group = name = ""; space = "-" }
    /^[a-zA-Z]/ { metadata = ($1 == "metadata:") }
    /^apiVersion: / { group = $2; if (group !~ /\//) group = "v1" }
    /^kind: / { kind = $2 }
    metadata && /^  name: / { name = $2; gsub(/"/, "", name) }
    metadata && /^  namespace: / { space = $2 }
    END { put() }
  ' "$1"
}

# ready KIND.GROUP NAMESPACE NAME: true when it is; else says in one line what it lacks.
ready() {
  local kind=$1 namespace=$2 name=$3 answer
  local -a where=()
  [[ $namespace = - ]] || where=(--namespace "$namespace")
  # KIND.apps and the like: the fields that tell about a roll-out; all others: their conditions.
  local fields='{.metadata.generation}|{.status.observedGeneration}|{.spec.replicas}|{.status.updatedReplicas}|{.status.availableReplicas}'
  fields+='|{.status.desiredNumberScheduled}|{.status.updatedNumberScheduled}|{.status.numberAvailable}|{.spec.type}'
  fields+='|{.status.loadBalancer.ingress}|{.status.health}|{range .status.conditions[*]}{.type}={.status} {.reason} {.message};{end}'
  answer=$(kube get "$kind" "$name" "${where[@]}" -o jsonpath="$fields" 2>&1) || { printf '%s' "$(head -n 1 <<<"$answer" | cut -c1-160)"; return 1; }
  answer=${answer//$'\n'/ }
  local generation observed replicas updated available desired scheduled there type addresses health conditions
  IFS='|' read -r generation observed replicas updated available desired scheduled there type addresses health conditions <<<"$answer"
  # A controller that has not yet seen the change tells about what was before.
  [[ -z $observed || $observed -ge $generation ]] || { printf 'not looked at yet'; return 1; }
  case $kind in
    Deployment.apps | StatefulSet.apps)
      [[ ${updated:-0} -ge ${replicas:-1} && ${available:-0} -ge ${replicas:-1} ]] ||
        { printf '%s of %s pods available, %s of this version' "${available:-0}" "${replicas:-1}" "${updated:-0}"; return 1; } ;;
    DaemonSet.apps)
      [[ -n $desired && ${scheduled:-0} -ge $desired && ${there:-0} -ge $desired ]] ||
        { printf '%s of %s pods available' "${there:-0}" "${desired:-?}"; return 1; } ;;
    Service)
      [[ $type != LoadBalancer || -n $addresses ]] || { printf 'no address yet'; return 1; } ;;
    # ECK's word for it.
    Elasticsearch.* | Kibana.* | Beat.*) [[ $health = green ]] || { printf 'its health is %s' "${health:-not known yet}"; return 1; } ;;
    CustomResourceDefinition.*) condition Established "$conditions" ;;
    Prometheus.* | Alertmanager.*) condition Available "$conditions" ;;
    Job.batch) condition Complete "$conditions" ;;
    # Those that tell by a condition. An empty answer is one that nobody has looked at yet.
    Kafka.* | KafkaTopic.* | KafkaUser.* | KnativeServing.* | KnativeEventing.* | Certificate.* | Issuer.* | ClusterIssuer.* | \
      Service.serving* | KafkaSource.* | PingSource.*) condition Ready "$conditions" ;;
  esac
}

# condition TYPE CONDITIONS
condition() {
  local each
  while IFS= read -r -d ';' each; do
    [[ $each == "$1=True "* ]] && return
    [[ $each == "$1="* ]] && { printf '%s' "$(cut -c1-160 <<<"${each#*=}")"; return 1; }
  done <<<"$2"
  printf 'not %s yet' "$1"
  return 1
}

# describe KIND.GROUP NAMESPACE NAME: the command that tells more about it.
describe() {
  local namespace=''
  [[ $2 = - ]] || namespace="-n $2 "
  case $1 in
    Deployment.* | StatefulSet.* | DaemonSet.*) printf 'kubectl %sdescribe %s %s; kubectl %sget pods; kubectl %slogs %s/%s' "$namespace" "$1" "$3" "$namespace" "$namespace" "$1" "$3" ;;
    Kafka.* | KafkaTopic.* | KafkaUser.*) printf 'kubectl %sdescribe %s %s; kubectl -n kafka logs deployment/strimzi-cluster-operator; kubectl -n kafka get pods' "$namespace" "$1" "$3" ;;
    Knative*) printf 'kubectl %sdescribe %s %s; kubectl -n knative-operator logs deployment/knative-operator' "$namespace" "$1" "$3" ;;
    Service.serving*) printf 'kn service describe %s %s; kubectl %sget revisions,pods -l serving.knative.dev/service=%s; kubectl %slogs -l serving.knative.dev/service=%s -c user-container --tail 5' "$3" "$namespace" "$namespace" "$3" "$namespace" "$3" ;;
    *Source.*) printf 'kubectl %sdescribe %s %s; kubectl -n knative-eventing get pods' "$namespace" "$1" "$3" ;;
    Prometheus.* | Alertmanager.*) printf 'kubectl %sdescribe %s %s; kubectl -n monitoring logs deployment/prometheus-operator; kubectl %sget pods' "$namespace" "$1" "$3" "$namespace" ;;
    *.k8s.elastic.co) printf 'kubectl %sdescribe %s %s; kubectl -n elastic-system logs statefulset/elastic-operator; kubectl %sget pods' "$namespace" "$1" "$3" "$namespace" ;;
    Service) printf 'kubectl %sdescribe service %s; kubectl -n metallb-system logs deployment/controller' "$namespace" "$3" ;;
    *) printf 'kubectl %sdescribe %s %s' "$namespace" "$1" "$3" ;;
  esac
}

# await WHAT FILE SECONDS: until every object that FILE names (KIND.GROUP NAMESPACE NAME a line) is ready.
await() {
  local what=$1 seconds=$3 all kind namespace name lacks
  local -r begin=$SECONDS
  local tell=$((SECONDS + tell_seconds))
  all=$(wc -l <"$2")
  cp "$2" "$work/pending"
  while :; do
    : >"$work/still"
    while read -r kind namespace name; do
      lacks=$(ready "$kind" "$namespace" "$name") || printf '%s %s %s %s\n' "$kind" "$namespace" "$name" "$lacks" >>"$work/still"
    done <"$work/pending"
    [[ -s $work/still ]] || return 0
    cut -d' ' -f1-3 "$work/still" >"$work/pending"
    read -r kind namespace name lacks <"$work/still"
    if ((SECONDS - begin >= seconds)); then
      say "$what: not ready after $seconds s:"
      awk '{ kind = $1; sub(/\..*/, "", kind); printf "  %s %s/%s:", kind, $2, $3; for (i = 4; i <= NF; i++) printf " %s", $i; print "" }' "$work/still" | head -n 20 >&2
      fail "$what is not ready" "$(describe "$kind" "$namespace" "$name")"
    fi
    if ((SECONDS >= tell)); then
      say "$what: $((all - $(wc -l <"$work/still"))) of $all ready after $((SECONDS - begin)) of $seconds s; ${kind%%.*} $name: $lacks"
      tell=$((SECONDS + tell_seconds))
    fi
    sleep "$look_seconds"
  done
}
