//! How Kubernetes is reached: from inside a cluster by the pod's service account, from elsewhere by a
//! kubeconfig.

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Where a pod's service account token is.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// An API server that does not answer a connection is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why Kubernetes cannot be reached, ever, by these settings.
#[derive(Debug, thiserror::Error)]
#[error("kubernetes: {what}: {reason}; allowed are auto, off and the path of a kubeconfig file")]
pub struct AccessError {
    what: String,
    reason: String,
}

/// A client, and the runtime that it lives on.
pub struct Access {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    /// Reads what `setting` says: `off`; `auto`, the service account of the pod that this runs in, if
    /// it runs in one; else a kubeconfig file. Nothing is sent yet.
    ///
    /// # Errors
    /// A kubeconfig that cannot be used; a service account that cannot be.
    pub fn of(setting: &str) -> Result<Option<Self>, AccessError> {
        let in_cluster =
            || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() && Path::new(TOKEN).exists();
        let error = |what: &str, reason: &dyn std::fmt::Display| AccessError {
            what: what.to_owned(),
            reason: reason.to_string().replace('\n', " "),
        };
        let what = match setting {
            "off" => return Ok(None),
            "auto" if !in_cluster() => return Ok(None),
            "auto" => "the pod's service account cannot be used".to_owned(),
            path => format!("the kubeconfig {path:?} cannot be used"),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|reason| error(&what, &reason))?;
        let mut config = if setting == "auto" {
            Config::incluster().map_err(|reason| error(&what, &reason))?
        } else {
            let kubeconfig =
                Kubeconfig::read_from(setting).map_err(|reason| error(&what, &reason))?;
            let options = KubeConfigOptions::default();
            runtime
                .block_on(Config::from_custom_kubeconfig(kubeconfig, &options))
                .map_err(|reason| error(&what, &reason))?
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        tracing::info!(server = %config.cluster_url, "watching Kubernetes");
        let entered = runtime.enter();
        let client = Client::try_from(config).map_err(|reason| error(&what, &reason))?;
        drop(entered);
        Ok(Some(Self { runtime, client }))
    }

    pub(super) fn into_parts(self) -> (tokio::runtime::Runtime, Client) {
        (self.runtime, self.client)
    }
}
