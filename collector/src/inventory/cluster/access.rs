//! Access to the API server: with the pod's service account inside a cluster, with a kubeconfig
//! elsewhere.

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Path of a pod's service account token.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// Maximum time to connect to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the settings do not give access to Kubernetes.
#[derive(Debug, thiserror::Error)]
#[error("kubernetes: {what}: {reason}: must be auto, off or the path of a kubeconfig file")]
pub struct AccessError {
    what: String,
    reason: String,
}

/// A client and the runtime that it runs on.
pub struct Access {
    runtime: tokio::runtime::Runtime,
    client: Client,
    namespace: String,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    /// Returns the access that `setting` describes: `off`; `auto` for the service account of the
    /// pod, if there is one; else the path of a kubeconfig. Sends no request.
    ///
    /// # Errors
    /// The kubeconfig or the service account cannot be used.
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
            "auto" => "cannot use the pod's service account".to_owned(),
            path => format!("cannot use the kubeconfig {path:?}"),
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
        let namespace = config.default_namespace.clone();
        let entered = runtime.enter();
        let client = Client::try_from(config).map_err(|reason| error(&what, &reason))?;
        drop(entered);
        Ok(Some(Self {
            runtime,
            client,
            namespace,
        }))
    }

    /// Returns the namespace of the pod, or that of the kubeconfig's context.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn into_parts(self) -> (tokio::runtime::Runtime, Client) {
        (self.runtime, self.client)
    }
}
