//! Where the three endpoints of an Allezon are: one address for all, or one for each, with host headers of their own.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use http::{HeaderValue, Uri};

use crate::quantities::duration;

/// The options that name a target.
#[derive(Debug, Clone, Args)]
pub struct TargetOptions {
    /// Address of an Allezon that serves all three endpoints; repeat it to spread connections over several in turn
    #[arg(
        long,
        env,
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8080",
        help_heading = "Target"
    )]
    pub target: Vec<String>,
    /// Where tags are posted, path included, instead of TARGET/user_tags
    #[arg(long, env, value_name = "URL", value_delimiter = ',', help_heading = "Target")]
    pub user_tags_url: Vec<String>,
    /// Where profiles are asked for (/COOKIE is appended), instead of TARGET/user_profiles
    #[arg(long, env, value_name = "URL", value_delimiter = ',', help_heading = "Target")]
    pub user_profiles_url: Vec<String>,
    /// Where aggregates are asked for, instead of TARGET/aggregates
    #[arg(long, env, value_name = "URL", value_delimiter = ',', help_heading = "Target")]
    pub aggregates_url: Vec<String>,
    /// Host header for tags, such as a Knative Service's host behind one ingress
    #[arg(long, env, value_name = "HOST", help_heading = "Target")]
    pub user_tags_host: Option<String>,
    /// Host header for profiles
    #[arg(long, env, value_name = "HOST", help_heading = "Target")]
    pub user_profiles_host: Option<String>,
    /// Host header for aggregates
    #[arg(long, env, value_name = "HOST", help_heading = "Target")]
    pub aggregates_host: Option<String>,
    /// How long a tag may take to be answered
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = duration, help_heading = "Target")]
    pub user_tags_timeout: Duration,
    /// How long a profile may take
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = duration, help_heading = "Target")]
    pub user_profiles_timeout: Duration,
    /// How long aggregates may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration, help_heading = "Target")]
    pub aggregates_timeout: Duration,
    /// How long to wait for a target that is still starting
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration, help_heading = "Target")]
    pub wait: Duration,
}

/// One place that requests go to.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Host name or address to connect to.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// The `Host` header.
    pub host_header: HeaderValue,
    /// The path, without a `/` at its end.
    pub path: String,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// The places of each endpoint; connections are spread over them in turn.
#[derive(Debug, Clone)]
pub struct Target {
    /// `POST /user_tags`.
    pub user_tags: Vec<Endpoint>,
    /// `POST /user_profiles/{cookie}`.
    pub user_profiles: Vec<Endpoint>,
    /// `POST /aggregates`.
    pub aggregates: Vec<Endpoint>,
}

impl Target {
    /// Checks the options.
    pub fn new(options: &TargetOptions) -> anyhow::Result<Self> {
        let endpoints = |urls: &[String], path: &str, host: &Option<String>, timeout: Duration| {
            let urls: Vec<String> = match urls {
                [] => options
                    .target
                    .iter()
                    .map(|target| format!("{}{path}", target.trim_end_matches('/')))
                    .collect(),
                urls => urls.to_vec(),
            };
            urls.iter()
                .map(|url| Endpoint::new(url, host.as_deref(), timeout))
                .collect::<anyhow::Result<Vec<_>>>()
        };
        Ok(Self {
            user_tags: endpoints(
                &options.user_tags_url,
                "/user_tags",
                &options.user_tags_host,
                options.user_tags_timeout,
            )?,
            user_profiles: endpoints(
                &options.user_profiles_url,
                "/user_profiles",
                &options.user_profiles_host,
                options.user_profiles_timeout,
            )?,
            aggregates: endpoints(
                &options.aggregates_url,
                "/aggregates",
                &options.aggregates_host,
                options.aggregates_timeout,
            )?,
        })
    }
}

impl Endpoint {
    fn new(url: &str, host_header: Option<&str>, timeout: Duration) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url:?} is not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                bail!("{url:?}: https is not spoken here; point at the plain HTTP port of the ingress")
            }
            _ => bail!("{url:?} must begin with http://"),
        }
        ensure!(uri.query().is_none(), "{url:?} must not have a query");
        let authority = uri.authority().with_context(|| format!("{url:?} names no host"))?;
        let header = host_header.unwrap_or(authority.as_str());
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            host_header: HeaderValue::from_str(header).with_context(|| format!("{header:?} is no host"))?,
            path: uri.path().trim_end_matches('/').to_owned(),
            timeout,
        })
    }

    /// `http://host:port/path`, for messages.
    pub fn url(&self) -> String {
        format!("http://{}:{}{}", self.host, self.port, self.path)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        target: TargetOptions,
    }

    fn target(line: &[&str]) -> anyhow::Result<Target> {
        Target::new(&Line::try_parse_from([&["simulator"], line].concat())?.target)
    }

    #[test]
    fn one_address_serves_all() {
        let target = target(&["--target", "http://a:1/,http://b"]).unwrap();
        let urls: Vec<_> = target.user_profiles.iter().map(Endpoint::url).collect();
        assert_eq!(urls, ["http://a:1/user_profiles", "http://b:80/user_profiles"]);
        assert_eq!(target.aggregates[0].host_header, "a:1");
    }

    #[test]
    fn each_endpoint_can_be_elsewhere() {
        let line =
            ["--user-tags-url", "http://10.0.0.1:80/in/tags", "--user-tags-host", "user-tags.shop.example"];
        let tags = &target(&line).unwrap().user_tags[0];
        assert_eq!((tags.host.as_str(), tags.port, tags.path.as_str()), ("10.0.0.1", 80, "/in/tags"));
        assert_eq!(tags.host_header, "user-tags.shop.example");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in ["localhost:8080", "https://a", "http://", "http://a?b=c", "ftp://a"] {
            assert!(target(&["--target", bad]).is_err(), "{bad}");
        }
    }
}
