//! What a person is told at the start: where it listens, and three lines to try.

use std::io::Write;
use std::net::SocketAddr;

use crate::options::Options;

/// Prints it on standard output. That nobody reads there is no reason not to serve.
pub(crate) fn print(address: SocketAddr, options: &Options) {
    let text = text(address, options);
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn text(address: SocketAddr, options: &Options) -> String {
    let url = format!("http://{address}");
    format!(
        r#"allezon {version} is listening on {url} with its data in {data}

  curl -i {url}/user_tags -d '{TAG}'
  curl -X POST '{url}/user_profiles/lucy?time_range=2022-03-22T12:00:00_2022-03-22T13:00:00'
  curl -X POST '{url}/aggregates?time_range=2022-03-22T12:14:00_2022-03-22T12:17:00&action=BUY&aggregates=COUNT'

Console: {url}/console ({staff})

More: {url}/openapi.json, {url}/metrics, allezon --help
"#,
        version = env!("CARGO_PKG_VERSION"),
        data = options.data.display(),
        staff = staff(address, options),
    )
}

/// Who may use what is for the shop's staff.
fn staff(address: SocketAddr, options: &Options) -> &'static str {
    match &options.server.staff_file {
        Some(_) => "for whom the file of credentials names",
        None if address.ip().is_loopback() => "for this machine only; --staff-file lets others in",
        None => "closed: this address can be reached from elsewhere, and there is no --staff-file",
    }
}

const TAG: &str = r#"{"time":"2022-03-22T12:15:00.000Z","cookie":"lucy","country":"PL","device":"PC","action":"BUY","origin":"CAMPAIGN_321","product_info":{"product_id":12486,"brand_id":"Nike","category_id":"Trousers","price":28969}}"#;
