//! Sources as a person uses them: settings, commands, and what the service says of them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;

use floatup::config::{self, Command};
use floatup::source::Address;
use serde_json::Value as Json;

use crate::floatup::{Running, Service, floatup, http, run, send_signal, stderr, until, wait};
use crate::tree::read;

/// The channel `demo` as the service tells it.
fn channel(service: &Service) -> Json {
    let (status, body) = http(&service.address, "GET", "/api/channels/demo", b"");
    assert_eq!(status, 200);
    serde_json::from_slice(&body).unwrap()
}

/// One of its sources.
pub(crate) fn source(service: &Service, name: &str) -> Json {
    let channel = channel(service);
    let mut sources = channel["sources"].as_array().unwrap().iter();
    let found = sources.find(|source| source["source"] == name);
    found
        .unwrap_or_else(|| panic!("no {name}: {channel}"))
        .clone()
}

fn publish(to: &Service, messages: &[&str]) {
    let url = to.url("/topics/video/demo");
    let args = [&["publish", "--to", &url], messages].concat();
    let output = run(Path::new("."), &args);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn what_a_source_brings_is_shown_by_pages_and_frames_alike() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Service::start(folder.path(), &[]);
    let address = upstream.url("/topics/video/demo");
    let service = Service::start(folder.path(), &["--source", &address]);
    until("it is live", || {
        source(&service, &address)["state"] == "live"
    });
    // A first poll names no number, so what is published before it waits is not had.
    until("the poll waits", || {
        let (_, figures) = http(&upstream.address, "GET", "/metrics", b"");
        String::from_utf8_lossy(&figures).contains("floatup_polls_waiting 1")
    });
    publish(
        &upstream,
        &["heart", "nope", "{\"type\":\"comment\",\"text\":\"fire\"}"],
    );
    until("all came", || source(&service, &address)["other_type"] == 1);
    let told = source(&service, &address);
    assert_eq!(
        (&told["accepted"], &told["unknown"]),
        (&1.into(), &1.into())
    );
    until("it is in the topic", || {
        source(&service, "embedded")["accepted"] == 1
    });
    let query = "/topics/video/demo?sequence_number=1";
    let (_, items) = http(&service.address, "GET", query, b"");
    let items: Json = serde_json::from_slice(&items).unwrap();
    assert_eq!(
        items["items"][0]["item"]["value"]["text"],
        "{\"r\":{\"❤️\":1}}"
    );

    let (status, ready) = http(&service.address, "GET", "/readyz", b"");
    let ready = String::from_utf8(ready).unwrap();
    assert_eq!(status, 200);
    assert!(ready.starts_with("ready\n"), "{ready}");
    assert!(ready.contains(&format!("demo {address} live")), "{ready}");
    let (_, figures) = http(&service.address, "GET", "/metrics", b"");
    let figures = String::from_utf8(figures).unwrap();
    let state =
        format!("floatup_source_state{{channel=\"demo\",source=\"{address}\",state=\"live\"}} 1");
    assert!(figures.contains(&state), "{figures}");

    // The upstream goes, and its state says so in the same word everywhere.
    upstream.stop();
    until("it is noticed", || {
        source(&service, &address)["state"] == "waiting"
    });
    let (_, ready) = http(&service.address, "GET", "/readyz", b"");
    let ready = String::from_utf8(ready).unwrap();
    assert!(
        ready.contains(&format!("demo {address} waiting: ")),
        "{ready}"
    );
    let (status, log) = service.stop();
    assert!(status.success());
    assert!(
        log.contains(&format!("channel demo: {address} is live")),
        "{log}"
    );
    assert!(
        log.contains(&format!("channel demo: {address} is waiting: ")),
        "{log}"
    );
}

#[test]
fn a_required_source_that_brings_nothing_makes_the_service_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "[[source]]\nfrom = 'http://127.0.0.1:9/topics/a/b'\nrequired = true";
    fs::write(folder.path().join("floatup.toml"), settings).unwrap();
    let service = Service::start(folder.path(), &["--config", "floatup.toml"]);
    let (status, told) = http(&service.address, "GET", "/readyz", b"");
    assert_eq!(status, 503);
    assert!(told.starts_with(b"not ready\n"), "{told:?}");
    let (status, _) = http(&service.address, "GET", "/api/channels/other", b"");
    assert_eq!(status, 404);
    service.stop();
}

#[test]
fn follow_prints_what_a_source_gets_and_a_log_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Service::start(folder.path(), &[]);
    let address = upstream.url("/topics/video/demo");
    let follow = |more: &[&str]| {
        let mut follow = floatup();
        follow.args(["follow", &address]).args(more);
        let spawned = follow.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        Running(spawned.unwrap())
    };
    let mut all = follow(&["--count", "2"]);
    let mut log = follow(&["--log", "--count", "1"]);
    until("both polls wait", || {
        let (_, figures) = http(&upstream.address, "GET", "/metrics", b"");
        String::from_utf8_lossy(&figures).contains("floatup_polls_waiting 2")
    });
    publish(&upstream, &["nope", "{\"reaction\":\"heart\",\"count\":3}"]);
    let read = |child: &mut Running| {
        let stdout = std::io::read_to_string(child.0.stdout.take().unwrap()).unwrap();
        assert_eq!(wait(child).code(), Some(0));
        let lines = stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<Json>>()
    };
    let all = read(&mut all);
    assert_eq!(all[0]["outcome"], "unknown");
    assert_eq!(all[0]["text"], "nope");
    assert_eq!(all[1]["outcome"], "accepted");
    assert_eq!(all[1]["source"], address.as_str());
    assert_eq!(all[1]["reactions"][0]["count"], 3);
    assert!(all[1]["sent_at_ms"].as_u64().unwrap() > 1_700_000_000_000);
    let log = read(&mut log);
    assert_eq!(
        (&log[0]["reaction"], &log[0]["count"]),
        (&"❤️".into(), &3.into())
    );
    fs::write(folder.path().join("log.ndjson"), log[0].to_string()).unwrap();
    let render = [
        "render",
        "log.ndjson",
        "x.rgba",
        "--size=16x9",
        "--frames=1",
    ];
    let output = run(folder.path(), &render);
    assert!(output.status.success(), "{}", stderr(&output));
    upstream.stop();
}

#[test]
fn pipe_follows_a_source_in_place_of_a_topic() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Service::start(folder.path(), &[]);
    let mut pipe = floatup();
    pipe.current_dir(folder.path());
    pipe.args(["pipe", "--source", &upstream.url("/topics/video/demo")]);
    pipe.args(["--size", "64x36", "--fps", "30", "--output", "out.rgba"]);
    let mut pipe = Running(pipe.stderr(Stdio::null()).spawn().unwrap());
    until("the poll waits", || {
        let (_, figures) = http(&upstream.address, "GET", "/metrics", b"");
        String::from_utf8_lossy(&figures).contains("floatup_polls_waiting 1")
    });
    publish(&upstream, &["heart"]);
    until("it is on a frame", || {
        fs::read(folder.path().join("out.rgba")).is_ok_and(|bytes| bytes.iter().any(|&b| b > 0))
    });
    send_signal(&pipe, "INT");
    assert_eq!(wait(&mut pipe).code(), Some(0));
    upstream.stop();
}

#[test]
fn publish_takes_lines_and_says_what_was_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &["--require-token"]);
    let url = service.url("/topics/video/demo");
    let mut publish = floatup();
    publish.args(["publish", "--to", &url]);
    publish.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = publish.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all("heart\n\nfire\n".as_bytes()).unwrap();
    drop(stdin);
    assert!(child.wait_with_output().unwrap().status.success());
    let query = "/topics/video/demo?sequence_number=1";
    let (status, _) = http(&service.address, "GET", query, b"");
    assert_eq!(status, 401, "a token is needed, and was had");
    until("both are taken", || {
        source(&service, "embedded")["accepted"] == 2
    });

    let output = run(
        folder.path(),
        &["publish", "--to", &url, &"x".repeat(5_000)],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("at most 4096"),
        "{}",
        stderr(&output)
    );
    let nowhere = ["publish", "--to", "http://127.0.0.1:9/topics/a/b", "heart"];
    let output = run(folder.path(), &nowhere);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("refused"), "{}", stderr(&output));
    fs::write(folder.path().join("token"), "hunter2").unwrap();
    let output = run(
        folder.path(),
        &["publish", "--to", &url, "--token-file=token", "heart"],
    );
    let told = stderr(&output);
    assert!(told.contains("401") && !told.contains("hunter2"), "{told}");
    service.stop();
}

#[test]
fn the_doctor_says_what_to_mend() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Service::start(folder.path(), &[]);
    let good = upstream.url("/topics/video/demo");
    let doctor = |args: &[&str]| {
        let args = [&["doctor", "--listen", "127.0.0.1:0"], args].concat();
        let output = run(folder.path(), &args);
        let told = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), told)
    };
    let (code, told) = doctor(&["--source", &good]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains(&format!("ok    source {good} is live")),
        "{told}"
    );
    assert!(
        told.contains("ok    channel demo: all 56 reactions"),
        "{told}"
    );

    fs::write(folder.path().join("palette.toml"), "[palette]\nx = 'x'").unwrap();
    let (code, told) = doctor(&["--config", "palette.toml"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("FAULT channel demo: no font has x; install"),
        "{told}"
    );
    let bad = [
        "--source",
        "http://127.0.0.1:9/topics/a/b",
        "--css",
        "gone.css",
    ];
    let (code, told) = doctor(&bad);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("FAULT source http://127.0.0.1:9/topics/a/b is waiting"),
        "{told}"
    );
    assert!(
        told.contains("FAULT channel demo: cannot read gone.css"),
        "{told}"
    );
    // A token for one connection is not spent.
    fs::write(folder.path().join("token"), "AQICAHgt").unwrap();
    let once = "[[source]]\nfrom = 'ivs-chat:ws://127.0.0.1:9'\nsecret_file = 'token'";
    fs::write(folder.path().join("once.toml"), once).unwrap();
    let (code, told) = doctor(&["--config", "once.toml"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("is not tried"), "{told}");
    let (code, told) = doctor(&["--config", "gone.toml"]);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("FAULT settings: gone.toml: can't be opened"),
        "{told}"
    );
    let listen = format!("--listen={}", upstream.address);
    let output = run(folder.path(), &["doctor", &listen]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains(&format!("FAULT cannot listen on {}", upstream.address)),
        "{told}"
    );
    upstream.stop();
}

fn serve(args: &[&str], env: &[(&str, &str)], file: &str) -> Result<config::Serve, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("floatup.toml");
    fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap();
    let args = [&["floatup", "serve", "--config", path], args].concat();
    let env = |name: &str| {
        let found = env.iter().find(|(known, _)| *known == name)?;
        Some(found.1.into())
    };
    match config::command(args.iter().map(Into::into), env) {
        Ok(Command::Serve(serve)) => Ok(*serve),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn sources_have_keys_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "hunter2\n").unwrap();
    let file = format!(
        "[[channel]]
         name = 'a'
         [[channel]]
         name = 'b'
         [[source]]
         from = 'http://h/topics/x/y'
         [[source]]
         from = 'http://h/topics/x/y'
         channel = 'b'
         weight = 0.5
         required = true
         emoji_in_text = 7
         words = false
         secret_file = '{}'
         names = {{ '<3' = 'heart', '25' = '🔥' }}",
        secret.display()
    );
    let got = serve(&[], &[("MOMENTO_API_KEY", "tok-en")], &file).unwrap();
    let [a, b] = &got.sources[..] else {
        panic!("{:?}", got.sources)
    };
    assert_eq!((a.channel, a.weight, a.is_required), (0, 1.0, false));
    assert_eq!(a.secrets.get("MOMENTO_API_KEY"), Some("tok-en"));
    assert_eq!((b.channel, b.weight, b.is_required), (1, 0.5, true));
    assert_eq!(b.secrets.get("MOMENTO_API_KEY"), Some("hunter2"), "its own");
    assert_ne!(a.rules, b.rules);
    let shown = format!("{got:?}");
    assert!(
        !shown.contains("tok-en") && !shown.contains("hunter2"),
        "{shown}"
    );
    let by_env = [("X", "tok-en"), ("FLOATUP_SOURCE", "http://h/topics/a/b")];
    let table = "[[source]]\nfrom = 'http://h/topics/x/y'\nsecret_env = 'X'";
    let got = serve(&[], &by_env[..1], table).unwrap();
    assert_eq!(
        got.sources[0].secrets.get("MOMENTO_API_KEY"),
        Some("tok-en")
    );
    let got = serve(&[], &by_env, table).unwrap();
    assert_eq!(got.sources[0].address.to_string(), "http://h/topics/a/b");
}

#[test]
fn accounts_elsewhere_need_their_keys() {
    let key = [(
        "MOMENTO_API_KEY",
        "eyJhbGciOiJIUzUxMiJ9.eyJ0IjoiZyIsImp0aSI6ImkifQ.c2ln",
    )];
    let got = serve(&["--momento-tokens=us-west-2"], &key, "").unwrap();
    let tokens = got.momento_tokens.as_ref().unwrap();
    assert_eq!(tokens.endpoint.as_deref(), Some("us-west-2"));
    assert!(!format!("{got:?}").contains("eyJ"));
    for (args, env, part) in [
        ("--momento-tokens=us-west-2", &[][..], "expected an API key"),
        ("--momento-tokens=key", &key, "needs an endpoint"),
        ("--momento-tokens=nowhere", &key, "expected a region"),
        (
            "--timed-metadata=arn:aws:ivs:us-east-1:123456789012:channel/a",
            &[("AWS_ACCESS_KEY_ID", "AKIA")],
            "AWS_SECRET_ACCESS_KEY",
        ),
    ] {
        let error = serve(&[args], env, "").unwrap_err();
        assert!(error.contains(part), "{args}: {error}");
    }
    let error = serve(&["--timed-metadata=abc"], &[], "").unwrap_err();
    assert!(error.contains("channel"), "{error}");
}

#[test]
fn the_webhook_takes_what_is_signed_with_the_services_secret() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "0123456789abcdef\n").unwrap();
    let service = Service::start(folder.path(), &["--webhook-secret-file", "secret"]);
    let body = b"{\"reaction\":\"heart\",\"id\":\"1\"}";
    let (status, _) = http(&service.address, "POST", "/reactions/demo", body);
    assert_eq!(status, 401);
    let script = recipe("docs/sources.md", "X-Floatup-Signature")
        .replace("http://127.0.0.1:8787", &service.url(""))
        .replace(r#"{"reaction":"heart"}"#, str::from_utf8(body).unwrap());
    let told = sh(&script, &[("FLOATUP_WEBHOOK_SECRET", "0123456789abcdef")]);
    assert_eq!(serde_json::from_str::<Json>(&told).unwrap()["accepted"], 1);
    until("it is in the topic", || {
        source(&service, "embedded")["accepted"] == 1
    });
    assert_eq!(source(&service, "webhook")["accepted"], 1);
    service.stop();

    let service = Service::start(folder.path(), &[]);
    let (status, _) = http(&service.address, "POST", "/reactions/demo", body);
    assert_eq!(status / 100, 2, "open on loopback");
    service.stop();
    let short = serve(&[], &[("FLOATUP_WEBHOOK_SECRET", "hunter2")], "").unwrap_err();
    assert!(
        short.contains("at least 16") && !short.contains("hunter2"),
        "{short}"
    );
}

#[test]
fn mistakes_in_sources_are_told() {
    for (file, parts) in [
        ("source = 'x'", &["1: source: ", "in quotes"][..]),
        ("source = ['x']", &["1: source: ", "\"x\""]),
        (
            "source = ['http://h/x']",
            &["1: source: ", "https://HOST/topics/CACHE/TOPIC"],
        ),
        (
            "source = ['http://u:p@h/topics/a/b']",
            &["1: source: ", "secret_file"],
        ),
        (
            "source = ['http://h/topics/a/b?x=1']",
            &["1: source: ?x", "tokens"],
        ),
        ("[[source]]\nweight = 1", &["1: source.from: is missing"]),
        (
            "[[source]]\nfrom = 'http://h/topics/a/b'\nweight = 0",
            &["3: source.weight: ", "0.001"],
        ),
        (
            "[[source]]\nfrom = 'http://h/topics/a/b'\nwieght = 1",
            &["3: source.wieght: ", "weight"],
        ),
        (
            "[[source]]\nfrom = 'http://h/topics/a/b'\nchannel = 'y'",
            &["1: source.channel: ", "expected one of demo"],
        ),
        (
            "[[source]]\nfrom = 'http://h/topics/a/b'\nnames = { x = 'nope' }",
            &["source http://h/topics/a/b: names: ", "\"nope\""],
        ),
        (
            "[[source]]\nfrom = 'http://h/topics/a/b'\nsecret_env = 'GONE'",
            &["GONE is not set"],
        ),
        (
            "[[source]]\nfrom = 'http://h/topics/a/b'\nsecret_env = 'GONE'\nsecret_file = 'x'",
            &["expected one of them"],
        ),
        (
            "source = ['http://h/topics/a/b', 'http://h/topics/a/b']",
            &["is given twice"],
        ),
    ] {
        let error = serve(&[], &[], file).unwrap_err();
        assert!(
            parts.iter().all(|part| error.contains(part)),
            "{file}: {error}"
        );
        assert!(!error.contains("u:p"), "{error}");
    }
}

/// The lines for a shell, in a document, of which one has these words.
fn recipe(document: &str, words: &str) -> String {
    let text = read(document);
    let mut blocks = text.split("\n\n");
    let is_it =
        |block: &&str| block.contains(words) && block.trim_start_matches('\n').starts_with("    ");
    let block = blocks.find(is_it);
    block.expect("the document has it").to_owned()
}

/// What a shell prints.
fn sh(script: &str, env: &[(&str, &str)]) -> String {
    let output = std::process::Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .envs(env.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_operators_token_is_signed_as_the_document_says() {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), KEY).unwrap();
    let args = ["--require-token", "--signing-key-file", "key"];
    let service = Service::start(folder.path(), &args);
    let list = format!(
        "curl -sS -o /dev/null -w '%{{http_code}}' -d '{{}}' -H \"Authorization: ${{AWS_SESSION_TOKEN:-}}\" {}",
        service.url("/ListRooms")
    );
    assert_eq!(sh(&list, &[]), "403");
    let signed = recipe("docs/http.md", "export AWS_SESSION_TOKEN");
    let script = format!("{signed}\n{list}");
    assert_eq!(sh(&script, &[("FLOATUP_SIGNING_KEY", KEY)]), "200");
    service.stop();
}

#[test]
fn documented_addresses_are_addresses() {
    let mut found = 0;
    for document in ["README.md", "docs/sources.md", "floatup.example.toml"] {
        let text = read(document);
        for before in ["--source ", "floatup follow ", "from = "] {
            for (at, _) in text.match_indices(before) {
                let rest = &text[at + before.len()..];
                let quote = rest.chars().next().filter(|c| "'\"".contains(*c));
                let address = match quote {
                    Some(quote) => rest[1..].split(quote).next(),
                    None => rest.split([' ', '`', '\n', ')']).next(),
                };
                let address = address.unwrap();
                // What stands for any address.
                if address.starts_with(|c: char| c.is_uppercase() || c == '[') {
                    continue;
                }
                let parsed = address.parse::<Address>();
                assert!(parsed.is_ok(), "{document}: {address}: {parsed:?}");
                found += 1;
            }
        }
    }
    assert!(found >= 25, "{found}");
}

#[test]
fn lines_of_another_program_are_a_source() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = floatup()
        .current_dir(folder.path())
        .args(["follow", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all("heart\nnope\n🔥🔥\n".as_bytes()).unwrap();
    drop(stdin);
    let mut told = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut told).unwrap();
    let outcome = |line: &str| serde_json::from_str::<Json>(line).unwrap()["outcome"].clone();
    let outcomes: Vec<_> = told.lines().map(outcome).collect();
    assert_eq!(outcomes, ["accepted", "unknown", "accepted"]);
    assert!(wait(&mut child).success());
}

#[test]
fn one_channels_sources_need_no_secret_of_another() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("log.ndjson"),
        "{\"at_ms\":0,\"reaction\":\"heart\"}\n",
    )
    .unwrap();
    let settings = "
        [[channel]]
        name = 'a'
        [[channel]]
        name = 'b'
        [[source]]
        from = 'log:log.ndjson'
        channel = 'a'
        [[source]]
        from = 'http://127.0.0.1:9/topics/a/b'
        channel = 'b'
        secret_file = 'gone'";
    fs::write(folder.path().join("floatup.toml"), settings).unwrap();
    let follow = |channel| {
        run(
            folder.path(),
            &["follow", "--config", "floatup.toml", "--channel", channel],
        )
    };
    let a = follow("a");
    assert!(a.status.success(), "{}", stderr(&a));
    let told: Json = serde_json::from_slice(&a.stdout).unwrap();
    assert_eq!(told["outcome"], "accepted");
    let b = follow("b");
    assert_eq!(b.status.code(), Some(2));
    assert!(stderr(&b).contains("gone"), "{}", stderr(&b));
}

#[test]
fn who_looks_on_takes_no_kept_session() {
    let kept: Address = "mqtt://h/a?client_id=live".parse().unwrap();
    assert_ne!(kept.for_a_look(), kept);
    let other: Address = "mqtt://h/a".parse().unwrap();
    assert_eq!(other.for_a_look(), other);
}
