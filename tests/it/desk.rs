//! What an operator does to a channel while it runs: over HTTP, as documented, and on the page.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::chromium::Chromium;
use crate::floatup::Service;
use crate::in_process::{DEADLINE, client};

const KEY: &str = "correct horse battery";

const CHANNEL: &str = "/api/channels/demo";

/// A small channel with long flights, whose operator has a key.
fn service(folder: &std::path::Path, args: &[&str]) -> Service {
    let css = ".animated-emoji { position: absolute; bottom: 0; font-size: 30px; animation: k 600s linear } \
        @keyframes k { to { bottom: 100% } }";
    std::fs::write(folder.join("slow.css"), css).unwrap();
    std::fs::write(folder.join("key"), KEY).unwrap();
    let usual = ["--size=320x180", "--fps=30", "--css=slow.css"];
    Service::start(folder, &[&usual, args].concat())
}

/// What a request is answered with: its status, and its JSON if it has any.
async fn ask(service: &Service, method: &str, path: &str, key: bool, body: &str) -> (u16, Value) {
    let method: Method = method.parse().unwrap();
    let mut request = client()
        .request(method, service.url(path))
        .body(body.to_owned());
    if key {
        request = request.header("x-floatup-key", KEY);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Waits until a part of what is said of the channel is this.
async fn until(service: &Service, part: &str, expected: Value) {
    let mut last = Value::Null;
    let looked = timeout(DEADLINE, async {
        while last[part] != expected {
            (_, last) = ask(service, "GET", CHANNEL, true, "").await;
        }
    });
    let looked = looked.await;
    looked.unwrap_or_else(|_| panic!("{part} of {last} is not {expected}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_change_while_the_channel_runs_and_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(
        folder.path(),
        &["--sprites-max=100", "--control-key-file=key"],
    );
    let (status, before) = ask(&service, "GET", CHANNEL, true, "").await;
    assert_eq!(
        (status, &before["settings"]["sprites_max"]),
        (200, &json!(100))
    );
    let (_, seen) = ask(&service, "GET", CHANNEL, false, "").await;
    assert_eq!(
        (&seen["settings"], &seen["paused"]),
        (&Value::Null, &json!(false))
    );
    let post = |text: &'static str| async {
        let path = "/topics/video/demo";
        assert_eq!(ask(&service, "POST", path, false, text).await.0, 204);
    };
    for _ in 0..20 {
        post("heart").await;
    }
    until(&service, "sprites", json!(20)).await;
    let changes = r#"{"sprites_max":10,"overflow":"drop-newest","block":["fire"],"spread_ms":0}"#;
    let (status, after) = ask(&service, "PATCH", CHANNEL, true, changes).await;
    assert_eq!(
        (status, &after["settings"]["sprites_max"]),
        (200, &json!(10))
    );
    assert_eq!(after["settings"]["block"], json!(["fire"]));
    // Nine places; the one that is left is for those that fade out.
    until(&service, "sprites", json!(9)).await;
    post("fire").await;
    post("clap").await;
    for (changes, part) in [
        (r#"{"quiet":true,"sprites_max":0}"#, "sprites_max: "),
        (r#"{"size":"1x1"}"#, "size: is no setting"),
        ("[]", "expected a JSON object"),
    ] {
        let (status, error) = ask(&service, "PATCH", CHANNEL, true, changes).await;
        assert_eq!(
            (status, &error["code"]),
            (400, &json!("bad_settings")),
            "{error}"
        );
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    }
    let (_, last) = ask(&service, "GET", CHANNEL, true, "").await;
    assert_eq!(last["settings"], after["settings"]);
    assert_eq!(ask(&service, "PATCH", CHANNEL, false, "{}").await.0, 401);
    assert_eq!(
        ask(&service, "PATCH", "/api/channels/x", true, "{}")
            .await
            .0,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_paused_cleared_and_given_a_burst() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path(), &["--spread-ms=0"]);
    let act = |action: &'static str, body: &'static str| {
        let path = format!("{CHANNEL}/{action}");
        let service = &service;
        async move { ask(service, "POST", &path, false, body).await }
    };
    assert_eq!(act("burst?reaction=heart&count=5", "").await.0, 204);
    until(&service, "sprites", json!(5)).await;
    assert_eq!(act("burst", r#"{"fire":2,"heart":1}"#).await.0, 204);
    until(&service, "sprites", json!(8)).await;
    assert_eq!(act("pause", "").await.0, 204);
    until(&service, "paused", json!(true)).await;
    let posted = ask(&service, "POST", "/topics/video/demo", false, "clap").await;
    assert_eq!(posted.0, 204, "viewers are not told");
    assert_eq!(act("clear", "").await.0, 204);
    until(&service, "sprites", json!(0)).await;
    assert_eq!(act("resume", "").await.0, 204);
    assert_eq!(
        ask(&service, "POST", "/topics/video/demo", false, "clap")
            .await
            .0,
        204
    );
    until(&service, "sprites", json!(1)).await;
    let (status, error) = act("burst?reaction=tomato", "").await;
    assert_eq!((status, &error["code"]), (400, &json!("bad_burst")));
    // A page of another site may not, though it can make such a request.
    let elsewhere = client().post(service.url("/api/channels/demo/clear"));
    let elsewhere = elsewhere
        .header("origin", "https://evil.example")
        .send()
        .await;
    assert_eq!(elsewhere.unwrap().status(), 403);
    until(&service, "sprites", json!(1)).await;
    let (_, log) = service.stop();
    for said in [
        "paused by an operator",
        "cleared by an operator",
        "resumed by an operator",
    ] {
        assert_eq!(log.matches(said).count(), 1, "{said}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clearing_empties_the_browser_source_however_old_its_sprites_are() {
    /// More than are taken back one by one.
    const DROPPED: usize = 2_001;
    let folder = tempfile::tempdir().unwrap();
    let service = service(
        folder.path(),
        &[
            "--sprites-max=1",
            "--overflow=drop-newest",
            "--requests-per-second=100000",
        ],
    );
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&service.url("/overlay/demo"), 320, 180).await;
    tab.wait_for("document.documentElement.dataset.state === 'live'")
        .await;
    let client = client();
    let publish = || {
        let request = client.post(service.url("/topics/video/demo")).body("heart");
        async move { assert_eq!(request.send().await.unwrap().status(), 204) }
    };
    let shows_something = "document.querySelector('canvas').getContext('2d')
        .getImageData(0, 0, 320, 180).data.some((level) => level > 0)";
    publish().await;
    tab.wait_for(shows_something).await;
    for _ in 0..DROPPED {
        publish().await;
    }
    let had = |count: usize| format!("document.documentElement.dataset.sequence === '{count}'");
    tab.wait_for(&had(1 + DROPPED)).await;
    assert!(tab.evaluate::<bool>(shows_something).await);

    let clear = format!("{CHANNEL}/clear");
    assert_eq!(ask(&service, "POST", &clear, false, "").await.0, 204);
    tab.wait_for(&format!("!({shows_something})")).await;
    publish().await;
    tab.wait_for(shows_something).await;
    assert_eq!(tab.complaints(), Vec::<String>::new());
    chromium.close().await;
}

/// A path of the description with its parameters filled in.
fn filled(path: &str) -> String {
    path.replace("{channel}", "demo")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_of_the_control_api_is_true() {
    let text = include_str!("../../docs/openapi.json");
    let described: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(described["openapi"], "3.1.0");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(described["info"]["version"], version);
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path(), &["--control-key-file=key"]);
    let paths = described["paths"].as_object().expect("paths");
    let mut asked = BTreeMap::new();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().expect("operations") {
            let name = method.to_uppercase();
            let body = &operation["requestBody"]["content"]["application/json"]["example"];
            let body = if body.is_null() {
                String::new()
            } else {
                body.to_string()
            };
            let responses = operation["responses"].as_object().expect("responses");
            let (status, answer) = ask(&service, &name, &filled(path), true, &body).await;
            let response = &responses.get(&status.to_string());
            let response = response.unwrap_or_else(|| panic!("{name} {path}: {status} {answer}"));
            assert!(status < 300, "{name} {path}: {status} {answer}");
            // Everything that is answered is described, and the other way round.
            let schema = &response["content"]["application/json"]["schema"];
            if let Some(properties) = schema["properties"].as_object() {
                let mut described: Vec<&String> = properties.keys().collect();
                let mut got: Vec<&String> = answer.as_object().expect("an object").keys().collect();
                described.sort();
                got.sort();
                assert_eq!(got, described, "{name} {path}");
            }
            if operation["security"].is_array() {
                let (refused, _) = ask(&service, &name, &filled(path), false, &body).await;
                assert_eq!(refused, 401, "{name} {path}");
                assert!(responses.contains_key("401") && responses.contains_key("404"));
            }
            asked.insert(format!("{name} {path}"), status);
        }
        let (status, _) = ask(&service, "DELETE", &filled(path), true, "").await;
        assert_eq!(status, 405, "{path}");
    }
    // Settings are described one by one, with what is accepted.
    let schema = &described["components"]["schemas"]["Settings"]["properties"];
    let (_, channel) = ask(&service, "GET", CHANNEL, true, "").await;
    let settings = channel["settings"].as_object().expect("settings");
    let mut named: Vec<&String> = schema.as_object().expect("settings").keys().collect();
    let mut got: Vec<&String> = settings.keys().collect();
    named.sort();
    got.sort();
    assert_eq!(got, named);
    // The page of the API names each of them.
    let page = include_str!("../../docs/http.md");
    for operation in asked.keys() {
        let (method, path) = operation.split_once(' ').unwrap();
        assert!(page.contains(&format!("`{method} {path}")), "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_page_shows_the_channel_and_its_buttons_work() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path(), &["--spread-ms=0", "--control-key-file=key"]);
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&service.url("/control"), 1_000, 900).await;
    tab.wait_for("document.querySelector('#state').textContent === 'On, 0 sprites'")
        .await;
    tab.wait_for("document.querySelector('#settings').textContent.startsWith('The control key')")
        .await;
    // Its preview shows what comes from when it is live.
    let preview = "document.querySelector('#preview').contentDocument?.documentElement?.dataset";
    tab.wait_for(&format!("{preview}?.state === 'live'")).await;
    // Without the key nothing is done, and that is said.
    let click = |what: &str| format!("document.querySelector('{what}').click() ?? true");
    tab.evaluate::<bool>(&click("[data-action=pause]")).await;
    tab.wait_for("document.querySelector('#said').textContent.includes('control key')")
        .await;
    let typed = format!(
        "(() => {{ const key = document.querySelector('#key'); key.value = '{KEY}';
           key.dispatchEvent(new Event('change')); return true; }})()"
    );
    tab.evaluate::<bool>(&typed).await;
    tab.wait_for("document.querySelector('#setting-sprites_max')?.value === '1000'")
        .await;
    tab.evaluate::<bool>(&click("#burst button")).await;
    tab.wait_for("document.querySelector('#rates td')?.textContent === '❤️'")
        .await;
    tab.wait_for("document.querySelector('#state').textContent === 'On, 16 sprites'")
        .await;
    // The picture is that of the browser source.
    tab.wait_for(&format!("{preview}.sequence === '1'")).await;
    tab.evaluate::<bool>(
        "(() => { const field = document.querySelector('#setting-overflow'); field.value = 'queue';
           field.dispatchEvent(new Event('change')); return true; })()",
    )
    .await;
    tab.wait_for("document.querySelector('#said').textContent === 'overflow is set'")
        .await;
    let (_, channel) = ask(&service, "GET", CHANNEL, true, "").await;
    assert_eq!(channel["settings"]["overflow"], "queue");
    tab.evaluate::<bool>(&click("[data-action=pause]")).await;
    tab.wait_for("document.querySelector('#state').textContent.startsWith('Paused')")
        .await;
    tab.evaluate::<bool>(&click("[data-action=clear]")).await;
    tab.wait_for("document.querySelector('#state').textContent === 'Paused, 0 sprites'")
        .await;
    assert_eq!(tab.complaints(), Vec::<String>::new());
    chromium.close().await;
}
