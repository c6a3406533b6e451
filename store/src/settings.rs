//! From a cloud's URL and the environment to a client of it. Retries are bounded: a store that is gone is reported.

use crate::location::{Cloud, CloudKind};
use crate::{OpenError, plain};
use object_store::ClientConfigKey::{ConnectTimeout, Timeout};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use std::sync::Arc;
use std::time::Duration;

/// No request is tried again so long after its first attempt.
const RETRY_FOR: Duration = Duration::from_secs(30);

/// One attempt at a request; a part of a checkpoint may be large.
const REQUEST: &str = "60s";

/// A server that does not answer at all.
const CONNECT: &str = "5s";

/// A client; the bucket is not asked for yet.
pub(crate) fn connect(cloud: &Cloud) -> Result<Arc<dyn ObjectStore>, OpenError> {
    let root = cloud.root();
    let (built, expected) = match cloud.kind {
        CloudKind::S3 => (s3(&root), "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL"),
        CloudKind::Azure => {
            (azure(&root), "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN")
        }
        CloudKind::Google => (google(&root), "GOOGLE_APPLICATION_CREDENTIALS, GOOGLE_SERVICE_ACCOUNT"),
    };
    built.map_err(|error| OpenError::Settings { url: root, reason: plain(&error), expected })
}

fn s3(url: &str) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let mut builder = AmazonS3Builder::from_env()
        .with_url(url)
        .with_retry(retry())
        .with_config(AmazonS3ConfigKey::Client(Timeout), REQUEST)
        .with_config(AmazonS3ConfigKey::Client(ConnectTimeout), CONNECT);
    let endpoints = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
    if endpoints.iter().filter_map(|key| builder.get_config_value(key)).any(|endpoint| is_this_machine(&endpoint)) {
        builder = builder.with_allow_http(true);
    }
    Ok(Arc::new(builder.build()?))
}

fn azure(url: &str) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let builder = MicrosoftAzureBuilder::from_env()
        .with_url(url)
        .with_retry(retry())
        .with_config(AzureConfigKey::Client(Timeout), REQUEST)
        .with_config(AzureConfigKey::Client(ConnectTimeout), CONNECT);
    Ok(Arc::new(builder.build()?))
}

fn google(url: &str) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_url(url)
        .with_retry(retry())
        .with_config(GoogleConfigKey::Client(Timeout), REQUEST)
        .with_config(GoogleConfigKey::Client(ConnectTimeout), CONNECT);
    if builder.get_config_value(&GoogleConfigKey::BaseUrl).is_some_and(|endpoint| is_this_machine(&endpoint)) {
        builder = builder.with_config(GoogleConfigKey::Client(object_store::ClientConfigKey::AllowHttp), "true");
    }
    Ok(Arc::new(builder.build()?))
}

/// An emulator on this machine needs no TLS: nothing leaves it.
fn is_this_machine(endpoint: &str) -> bool {
    let host = endpoint.strip_prefix("http://").and_then(|rest| rest.split(['/', ':']).next());
    host.is_some_and(|host| {
        host == "localhost" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|host| host.is_loopback())
    })
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: 10, retry_timeout: RETRY_FOR }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        assert!(is_this_machine("http://127.0.0.1:5000") && is_this_machine("http://localhost/x"));
        assert!(!is_this_machine("http://10.0.0.1:5000") && !is_this_machine("http://localhost.example.com"));
        assert!(!is_this_machine("http://127.example.com"));
    }
}
