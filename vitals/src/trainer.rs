//! Reports progress to Kubeflow Trainer where its environment names a server. It never holds up or fails the run: what the
//! server does not take is said once in a while in the log.

use crate::Vitals;
use crate::trainer_status::body;
use conrec_domain::job::Moment;
use reqwest::{Certificate, Client, Url, redirect};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Between two reports; the server asks for no more than one in 5 s.
const EVERY: Duration = Duration::from_secs(10);
/// For one report.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two warnings.
const SAID_EVERY: Duration = Duration::from_secs(600);

/// Prefixes of the variables' names: the trainer's own, and an earlier one.
const PREFIXES: [&str; 2] = ["KUBEFLOW_TRAINER_STATUS", "KUBEFLOW_TRAINER_SERVER"];

/// Where to report, as the trainer's controller sets it in a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainerEnvironment {
    url: String,
    /// The authority of the server's certificate; none: those of the system.
    ca_cert: Option<PathBuf>,
    /// The file with the pod's token, which is renewed there.
    token: Option<PathBuf>,
}

impl TrainerEnvironment {
    /// From variables by name; none where no server is named.
    pub fn from(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let of = |prefix: &str, name: &str| variable(&format!("{prefix}_{name}")).filter(|value| !value.is_empty());
        PREFIXES.iter().find_map(|prefix| {
            let url = of(prefix, "URL")?;
            let path = |name| of(prefix, name).map(PathBuf::from);
            Some(Self { url, ca_cert: path("CA_CERT"), token: path("TOKEN") })
        })
    }

    /// A client for this server: it follows no redirection, as it shows a token.
    fn client(&self) -> Result<(Client, Url), String> {
        let url = Url::parse(&self.url).map_err(|error| format!("`{}`: {error}", self.url))?;
        let mut client = Client::builder().redirect(redirect::Policy::none()).timeout(PATIENCE).no_proxy();
        if let Some(path) = &self.ca_cert {
            let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let certificates =
                Certificate::from_pem_bundle(&pem).map_err(|error| format!("{}: {error}", path.display()))?;
            client = client.tls_certs_only(certificates);
        }
        Ok((client.build().map_err(|error| error.to_string())?, url))
    }

    async fn post(&self, body: &Value) -> Result<(), String> {
        // Anew each time: certificate and token are renewed under way.
        let (client, url) = self.client()?;
        let secure = url.scheme() == "https";
        let mut request = client.post(url).header("content-type", "application/json").body(body.to_string());
        if let Some(path) = &self.token {
            if !secure {
                return Err("the server is reached without TLS, where a token is not shown".into());
            }
            let token = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            request = request.bearer_auth(token.trim());
        }
        // The library's words for a failure hold the URL, which is no secret.
        let answer = request.send().await.map_err(|error| error.to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("the server answered {}", answer.status())) }
    }
}

/// Reports until `ended` says how the run ended (whether it is complete), and that too.
pub async fn report_progress(
    trainer: TrainerEnvironment,
    vitals: Vitals,
    mut ended: watch::Receiver<Option<bool>>,
    clock: fn() -> Moment,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said: Option<Instant> = None;
    loop {
        let completed = tokio::select! {
            _ = ticks.tick() => None,
            changed = ended.changed() => match (changed, *ended.borrow()) {
                (Ok(()), Some(completed)) => Some(completed),
                (Ok(()), None) => continue,
                (Err(_), _) => return,
            },
        };
        let report = body(&vitals.lock(), completed == Some(true), clock());
        if let Err(error) = trainer.post(&report).await
            && said.is_none_or(|said| said.elapsed() > SAID_EVERY)
        {
            tracing::warn!("Kubeflow Trainer does not take the progress: {error}");
            said = Some(Instant::now());
        }
        if completed.is_some() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn environment(set: &'static [(&'static str, &'static str)]) -> Option<TrainerEnvironment> {
        TrainerEnvironment::from(|name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_names_the_server_or_there_is_none() {
        assert_eq!(environment(&[]), None);
        assert_eq!(environment(&[("KUBEFLOW_TRAINER_STATUS_URL", "")]), None);
        let full = environment(&[
            ("KUBEFLOW_TRAINER_STATUS_URL", "https://a/b"),
            ("KUBEFLOW_TRAINER_STATUS_CA_CERT", "/ca"),
            ("KUBEFLOW_TRAINER_STATUS_TOKEN", "/token"),
        ]);
        let (ca_cert, token) = (Some("/ca".into()), Some("/token".into()));
        assert_eq!(full, Some(TrainerEnvironment { url: "https://a/b".into(), ca_cert, token }));
        assert!(environment(&[("KUBEFLOW_TRAINER_SERVER_URL", "https://a")]).is_some());
    }

    #[tokio::test]
    async fn progress_and_the_end_are_posted_and_a_token_only_over_tls() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/status", listener.local_addr().unwrap());
        let trainer = TrainerEnvironment { url, ca_cert: None, token: None };
        let guarded = TrainerEnvironment { token: Some("/absent".into()), ..trainer.clone() };
        assert!(guarded.post(&Value::Null).await.unwrap_err().contains("without TLS"));
        let (end, ended) = watch::channel(None);
        let reports = tokio::spawn(report_progress(trainer, Vitals::new(&[]), ended, || Moment(7)));
        for last in [false, true] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}}") {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
            }
            let request = String::from_utf8(request).unwrap();
            assert!(request.starts_with("POST /status HTTP/1.1\r\n"), "{request}");
            let percent = if last { "\"progressPercentage\":100" } else { "\"progressPercentage\":0" };
            assert!(request.contains(percent) && request.contains("1970-01-01T00:00:07Z"), "{request}");
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            end.send(Some(true)).unwrap();
        }
        reports.await.unwrap();
    }
}
