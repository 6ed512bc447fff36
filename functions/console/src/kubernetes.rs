//! A cluster around the console: Kubernetes tells which functions and pods there are, pods tell what they measure, Kafka how far
//! the groups are. Without a service account's token (a developer's machine) only Kafka is asked.

use std::path::Path;
use std::time::Duration;

use console::{Error, FunctionState, Lag, Measured, Surroundings, Trouble, Where};
use event_log_kafka::{Kafka, KafkaOptions, OpenError, PartitionProgress, Source};
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt};
use reqwest::{Certificate, Client};
use serde_json::{Map, Value, json};

/// Where Kubernetes puts what a pod needs to ask it.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Where the functions' pods answer for themselves.
const POD_PORT: u16 = 8080;
/// What takes longer is as good as not there: the board is told each second.
const PATIENCE: Duration = Duration::from_millis(800);
const CLUSTER_PATIENCE: Duration = Duration::from_secs(5);
/// Pods asked at once, and at all.
const AT_ONCE: usize = 32;
const MOST_PODS: usize = 200;
/// An answer of an instance that is longer is none of ours.
const MOST_BYTES: usize = 4 << 20;
const MOST_ERRORS: usize = 5;

/// What runs around the console on a cluster.
pub(crate) struct Cluster {
    api: Option<Api>,
    pods: Client,
    kafka: Kafka,
    sources: Vec<(&'static str, Source)>,
}

/// Kubernetes' API, as this namespace may read it.
struct Api {
    client: Client,
    url: String,
    namespace: String,
}

impl Cluster {
    pub(crate) fn around(
        kafka: &KafkaOptions,
        topic: &str,
        groups: [(&'static str, &String); 2],
    ) -> anyhow::Result<Self> {
        let source = |group: &String| Source { topic: topic.to_owned(), group: group.clone() };
        Ok(Self {
            api: Api::of_this_pod()?,
            pods: Client::builder().timeout(PATIENCE).no_proxy().build()?,
            kafka: Kafka::new(kafka)?,
            sources: groups.map(|(worker, group)| (worker, source(group))).into(),
        })
    }

    async fn scrape(&self, pod: &Value) -> Result<(String, String), String> {
        let name = text(pod, "/metadata/name").unwrap_or("a pod").to_owned();
        let Some(ip) = text(pod, "/status/podIP") else { return Err(format!("{name}: has no address yet")) };
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let asked = async {
            let url = format!("http://{host}:{POD_PORT}/metrics");
            let mut response = self.pods.get(url).send().await?.error_for_status()?;
            let mut body = Vec::new();
            while let Some(piece) = response.chunk().await? {
                body.extend_from_slice(&piece);
                if body.len() > MOST_BYTES {
                    break;
                }
            }
            Ok::<_, reqwest::Error>(String::from_utf8_lossy(&body).into_owned())
        };
        match asked.await {
            Ok(text) => Ok((name, text)),
            Err(error) if error.is_timeout() => Err(format!("{name}: did not answer in time")),
            Err(_) => Err(format!("{name}: did not answer")),
        }
    }

    async fn lag_of(&self, worker: &str, source: &Source) -> Result<Lag, OpenError> {
        let partitions = self.kafka.progress(source).await?;
        Ok(Lag { worker: worker.to_owned(), events: partitions.iter().map(PartitionProgress::lag).sum() })
    }
}

impl Surroundings for Cluster {
    fn place(&self) -> Where {
        Where::Cluster
    }

    async fn measured(&self) -> Measured {
        let Some(api) = &self.api else {
            return Measured {
                problems: vec!["there is no cluster to ask".to_owned()],
                ..Measured::default()
            };
        };
        let pods = match api.pods().await {
            Ok(pods) => pods,
            Err(error) => return Measured { problems: vec![told(&error)], ..Measured::default() },
        };
        let mut measured = Measured::default();
        if pods.len() > MOST_PODS {
            measured.problems.push(format!("only {MOST_PODS} of {} pods are asked", pods.len()));
        }
        let mut asked = Vec::new();
        for pod in pods.iter().take(MOST_PODS) {
            if text(pod, "/status/phase") == Some("Running") {
                asked.push(self.scrape(pod));
            }
        }
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(instance) => measured.instances.push(instance),
                Err(problem) => measured.problems.push(problem),
            }
        }
        measured
    }

    async fn lag(&self) -> Result<Vec<Lag>, Error> {
        let asked = self.sources.iter().map(|(worker, source)| self.lag_of(worker, source));
        try_join_all(asked).await.map_err(|cause| Error {
            what: "Kafka does not tell the lag".to_owned(),
            cause: Some(cause.into()),
        })
    }

    async fn functions(&self) -> Result<Vec<FunctionState>, Error> {
        let Some(api) = &self.api else {
            return Err(Error { what: "there is no cluster to ask".to_owned(), cause: None });
        };
        let serving = format!("/apis/serving.knative.dev/v1/namespaces/{}", api.namespace);
        let (services, revisions, pods) = tokio::try_join!(
            api.list(format!("{serving}/services")),
            api.list(format!("{serving}/revisions")),
            api.pods(),
        )?;
        Ok(services.iter().map(|service| state(service, &revisions, &pods)).collect())
    }
}

impl Api {
    /// None where no token is mounted.
    fn of_this_pod() -> anyhow::Result<Option<Self>> {
        let account = Path::new(ACCOUNT);
        if !account.join("token").exists() {
            tracing::warn!("no token is mounted: the console knows nothing of a cluster");
            return Ok(None);
        }
        let certificate = Certificate::from_pem(&std::fs::read(account.join("ca.crt"))?)?;
        let client =
            Client::builder().timeout(CLUSTER_PATIENCE).no_proxy().tls_certs_only([certificate]).build()?;
        let namespace = std::fs::read_to_string(account.join("namespace"))?;
        let host = std::env::var("KUBERNETES_SERVICE_HOST")?;
        let port = std::env::var("KUBERNETES_SERVICE_PORT")?;
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Ok(Some(Self {
            client,
            url: format!("https://{host}:{port}"),
            namespace: namespace.trim().to_owned(),
        }))
    }

    /// The pods of Knative's Services here. Asked each second while somebody looks: what the API server has in memory will do.
    async fn pods(&self) -> Result<Vec<Value>, Error> {
        self.list(format!(
            "/api/v1/namespaces/{}/pods?labelSelector=serving.knative.dev/service&resourceVersion=0",
            self.namespace
        ))
        .await
    }

    async fn list(&self, path: String) -> Result<Vec<Value>, Error> {
        let refused = |cause: Box<dyn std::error::Error + Send + Sync>| Error {
            what: "the cluster does not tell".to_owned(),
            cause: Some(cause),
        };
        // Kubernetes gives a new one each hour.
        let token = std::fs::read_to_string(Path::new(ACCOUNT).join("token"))
            .map_err(|error| refused(error.into()))?;
        let asked = async {
            let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(token.trim());
            request.send().await?.error_for_status()?.json::<Value>().await
        };
        let mut list = asked.await.map_err(|error| refused(error.into()))?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }
}

/// How a function does.
fn state(service: &Value, revisions: &[Value], pods: &[Value]) -> FunctionState {
    let name = text(service, "/metadata/name").unwrap_or_default().to_owned();
    let revision = text(service, "/status/latestReadyRevisionName").map(str::to_owned);
    let condition = condition(service, "Ready");
    let ready = condition.is_some_and(|ready| text(ready, "/status") == Some("True"));
    let why = || text(condition?, "/message").or_else(|| text(condition?, "/reason")).map(str::to_owned);
    let reason = if ready { None } else { why().or_else(|| Some("not told yet".to_owned())) };
    let label = |object: &Value, key: &str| {
        object.pointer("/metadata/labels").and_then(|labels| labels[key].as_str()).map(str::to_owned)
    };
    let of_it = |object: &&Value| label(object, "serving.knative.dev/service").as_deref() == Some(&name);
    let instances: Vec<&Value> = pods.iter().filter(of_it).collect();
    let is_up = |pod: &&&Value| {
        self::condition(pod, "Ready").is_some_and(|ready| text(ready, "/status") == Some("True"))
    };
    let wanted: Vec<u64> = revisions
        .iter()
        .filter(of_it)
        .filter_map(|revision| revision.pointer("/status/desiredReplicas")?.as_u64())
        .collect();
    FunctionState {
        instances: instances.iter().filter(is_up).count() as u64,
        wanted: (!wanted.is_empty()).then(|| wanted.iter().sum()),
        scale: scale(service),
        errors: troubles(&instances),
        name,
        revision,
        ready,
        reason,
    }
}

/// How it scales, by its annotations.
fn scale(service: &Value) -> Option<Value> {
    let annotations = service.pointer("/spec/template/metadata/annotations")?.as_object()?;
    let known = [("min", "min-scale"), ("max", "max-scale"), ("metric", "metric"), ("target", "target")];
    let mut told: Map<String, Value> = known
        .iter()
        .filter_map(|(short, long)| {
            let value = annotations.get(&format!("autoscaling.knative.dev/{long}"))?.as_str()?;
            let value = value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number));
            Some(((*short).to_owned(), value))
        })
        .collect();
    // Where a container takes no more at once, that is what it is aimed at.
    let most = service.pointer("/spec/template/spec/containerConcurrency").filter(|most| **most != 0);
    if told.get("metric").is_some_and(|metric| metric == "concurrency")
        && let Some(most) = most
    {
        told.entry("target").or_insert_with(|| most.clone());
    }
    (!told.is_empty()).then_some(Value::Object(told))
}

/// What containers ended with, or wait for.
fn troubles(pods: &[&Value]) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for pod in pods {
        let name = text(pod, "/metadata/name").unwrap_or("a pod");
        let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            let of = text(container, "/name").unwrap_or("a container");
            if let Some(ended) = container.pointer("/lastState/terminated") {
                let reason = text(ended, "/reason").unwrap_or("ended");
                let code = &ended["exitCode"];
                let at = text(ended, "/finishedAt").map(str::to_owned);
                troubles.push(Trouble { at, what: format!("{name}: {of} ended: {reason}, code {code}") });
            }
            if let Some(reason) = text(container, "/state/waiting/reason") {
                let more = text(container, "/state/waiting/message").unwrap_or_default();
                troubles.push(Trouble {
                    at: None,
                    what: format!("{name}: {of} waits: {reason} {more}").trim().to_owned(),
                });
            }
        }
    }
    troubles.sort_by(|a, b| b.at.cmp(&a.at));
    troubles.truncate(MOST_ERRORS);
    troubles
}

fn condition<'v>(object: &'v Value, wanted: &str) -> Option<&'v Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == wanted)
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer)?.as_str()
}

fn told(error: &Error) -> String {
    match &error.cause {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_told_with_its_pods() {
        let service = json!({
            "metadata": {"name": "user-tags"},
            "spec": {"template": {"metadata": {"annotations": {
                "autoscaling.knative.dev/min-scale": "2", "autoscaling.knative.dev/metric": "rps", "other": "x"}}}},
            "status": {
                "latestReadyRevisionName": "user-tags-00002",
                "conditions": [{"type": "Ready", "status": "False", "message": "Unable to fetch image"}],
            },
        });
        let labels = json!({"serving.knative.dev/service": "user-tags"});
        let revisions = [
            json!({"metadata": {"labels": labels}, "status": {"desiredReplicas": 2}}),
            json!({"metadata": {"labels": labels}, "status": {"desiredReplicas": 1}}),
            json!({"metadata": {"labels": {"serving.knative.dev/service": "aggregates"}}, "status": {"desiredReplicas": 9}}),
        ];
        let pods = [
            json!({"metadata": {"name": "a", "labels": labels}, "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "user-container",
                    "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-11-22T07:00:00Z"}}}]}}),
            json!({"metadata": {"name": "b", "labels": labels}, "status": {
                "containerStatuses": [{"name": "user-container", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}}),
            json!({"metadata": {"name": "c", "labels": {}}, "status": {}}),
        ];
        let state = state(&service, &revisions, &pods);
        let told = |what: &str| what.to_owned();
        let expected = FunctionState {
            name: told("user-tags"),
            revision: Some(told("user-tags-00002")),
            ready: false,
            reason: Some(told("Unable to fetch image")),
            instances: 1,
            wanted: Some(3),
            scale: Some(json!({"min": 2, "metric": "rps"})),
            errors: vec![
                Trouble {
                    at: Some(told("2026-11-22T07:00:00Z")),
                    what: told("a: user-container ended: OOMKilled, code 137"),
                },
                Trouble { at: None, what: told("b: user-container waits: ImagePullBackOff") },
            ],
        };
        assert_eq!(state, expected);
    }
}
