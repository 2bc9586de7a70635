//! Calls of AWS: signatures, credentials and errors.

use std::time::Duration;

use floatup::aws::sign::{Request, Scope, authorization};
use floatup::aws::{
    Authorization, AwsError, Client, Credentials, CredentialsError, Keyring, Place,
};
use floatup::calendar::basic;
use serde_json::{Value as Json, json};

use crate::in_process::now_unix;
use crate::scripted::{Asked, Reply, Scripted};
use crate::tree::files_below;

/// The credentials of the test suite's requests.
const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn clock() -> Duration {
    Duration::from_secs(now_unix())
}

fn credentials(token: Option<&str>) -> Credentials {
    Credentials::new(ID, SECRET, token).unwrap()
}

/// How a service answers.
type Play = fn() -> Reply;

/// A request as it stands in a file, and its `Authorization`.
struct Signed {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    authorization: String,
}

fn parse(text: &str) -> Signed {
    let (head, body) = text.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        match line.split_once(':') {
            Some((name, value)) if !line.starts_with(' ') => {
                headers.push((name.into(), value.into()));
            }
            // A value that goes on.
            _ => headers.last_mut().unwrap().1 += &format!("\n{line}"),
        }
    }
    let at = headers.iter().position(|(name, _)| name == "Authorization");
    let (_, authorization) = headers.remove(at.unwrap());
    Signed {
        method: first.next().unwrap().into(),
        path: first.next().unwrap().into(),
        headers,
        body: body.into(),
        authorization,
    }
}

#[test]
fn requests_are_signed_as_amazon_signs_them() {
    let files = files_below("tests/vectors/sigv4");
    let vectors = files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "txt"));
    let mut count = 0;
    for file in vectors {
        let signed = parse(&std::fs::read_to_string(file).unwrap());
        let headers: Vec<_> = signed
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let header = |wanted: &str| {
            let mut headers = headers.iter();
            headers
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| *value)
        };
        let request = Request {
            method: &signed.method,
            path: &signed.path,
            headers: &headers,
            body: signed.body.as_bytes(),
        };
        let scope = Scope {
            region: "us-east-1",
            service: "service",
            date: header("X-Amz-Date").unwrap(),
        };
        let own = authorization(
            &request,
            scope,
            &credentials(header("X-Amz-Security-Token")),
        );
        assert_eq!(own, signed.authorization, "{}", file.display());
        count += 1;
    }
    assert_eq!(count, 13);
}

fn client(place: Place, server: &Scripted, base: &str) -> Client {
    Client::new(place, Some(server.url(base)), clock).unwrap()
}

async fn call(client: &Client) -> Result<Json, AwsError> {
    let sent = json!({"roomIdentifier": "r"});
    client
        .call("ivschat", "eu-west-1", "SendEvent", &sent)
        .await
}

/// Whether a request has the signature of these credentials.
fn is_signed(asked: &Asked, with: &Credentials) -> bool {
    let date = asked.header("x-amz-date");
    let mut headers = vec![
        ("content-type", asked.header("content-type")),
        ("host", asked.header("host")),
        ("x-amz-date", date),
    ];
    if let Some(token) = with.session_token() {
        headers.push(("x-amz-security-token", token));
    }
    let request = Request {
        method: "POST",
        path: asked.line.split(' ').nth(1).unwrap(),
        headers: &headers,
        body: &asked.body,
    };
    let scope = Scope {
        region: "eu-west-1",
        service: "ivschat",
        date,
    };
    asked.header("authorization") == authorization(&request, scope, with)
        && asked.header("x-amz-security-token") == with.session_token().unwrap_or_default()
}

#[tokio::test]
async fn a_call_is_a_signed_post_and_gives_its_answer() {
    let server = Scripted::start(|_| Reply::json(200, &json!({"id": "AbC"}))).await;
    let temporary = credentials(Some("tok/en=="));
    for (base, credentials) in [("", credentials(None)), ("/base/", temporary)] {
        let client = client(Place::Given(credentials.clone()), &server, base);
        assert_eq!(call(&client).await.unwrap(), json!({"id": "AbC"}));
        let asked = server.asked_now().pop().unwrap();
        let path = format!("{}/SendEvent", base.trim_end_matches('/'));
        assert_eq!(asked.line, format!("POST {path}"));
        assert_eq!(asked.json(), json!({"roomIdentifier": "r"}));
        assert!(is_signed(&asked, &credentials), "{asked:?}");
    }
}

#[tokio::test]
async fn an_empty_answer_is_null_and_garbage_is_an_error() {
    let mut answers = ["", "<html>"].into_iter();
    let server = Scripted::start(move |_| Reply::text(200, answers.next().unwrap())).await;
    let client = client(Place::Given(credentials(None)), &server, "");
    assert_eq!(call(&client).await.unwrap(), Json::Null);
    let error = call(&client).await.unwrap_err().to_string();
    assert_eq!(error, "SendEvent answered what is no JSON");
}

#[tokio::test]
async fn an_error_says_its_type_and_what_to_do_about_it() {
    struct Case {
        status: u16,
        header: &'static str,
        body: &'static str,
        told: &'static str,
        throttled: bool,
        refusal: bool,
    }
    let case = |status, header, body, told, (throttled, refusal)| Case {
        status,
        header,
        body,
        told,
        throttled,
        refusal,
    };
    let cases = [
        case(
            404,
            "ResourceNotFoundException:http://internal.example/",
            r#"{"message":"no room","resourceId":"r"}"#,
            "SendEvent answered 404 ResourceNotFoundException: no room",
            (false, true),
        ),
        case(
            400,
            "",
            r#"{"__type":"com.amazonaws.ivschat#ValidationException","Message":"bad"}"#,
            "SendEvent answered 400 ValidationException: bad",
            (false, true),
        ),
        case(
            429,
            "ThrottlingException",
            r#"{"exceptionMessage":"slower"}"#,
            "SendEvent answered 429 ThrottlingException: slower",
            (true, false),
        ),
        case(
            400,
            "",
            r#"{"code":"ThrottlingException"}"#,
            "SendEvent answered 400 ThrottlingException",
            (true, false),
        ),
        case(
            503,
            "",
            "<html>busy</html>",
            "SendEvent answered 503 ",
            (false, false),
        ),
        case(
            500,
            "InternalServerException",
            "",
            "SendEvent answered 500 InternalServerException",
            (false, false),
        ),
        case(408, "", "{}", "SendEvent answered 408 ", (false, false)),
        case(302, "", "", "SendEvent answered 302 ", (false, false)),
        case(403, "", "[1]", "SendEvent answered 403 ", (false, true)),
        case(
            403,
            "Type\u{9}With#Odd\"Signs",
            r#"{"message":"line\u0000 one\nx-amz-security-token:tok"}"#,
            "SendEvent answered 403 OddSigns: line one",
            (false, true),
        ),
    ];
    for case in cases {
        let (status, header, body) = (case.status, case.header, case.body);
        let server = Scripted::start(move |_| {
            let reply = Reply::text(status, body).with("retry-after", "7");
            let reply = reply.with("location", "http://127.0.0.1:9/");
            match header {
                "" => reply,
                header => reply.with("x-amzn-ErrorType", header),
            }
        })
        .await;
        let client = client(Place::Given(credentials(None)), &server, "");
        let error = call(&client).await.unwrap_err();
        assert_eq!(error.to_string(), case.told);
        assert_eq!(error.is_throttled(), case.throttled, "{error}");
        assert_eq!(error.is_refusal(), case.refusal, "{error}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(server.asked_now().len(), 1, "{error}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_an_error_in_time() {
    let server = Scripted::start(|_| Reply::Endless).await;
    let endless = client(Place::Given(credentials(None)), &server, "");
    let error = call(&endless).await.unwrap_err().to_string();
    assert_eq!(error, "the answer is longer than 262144 bytes");
    drop(server);
    let error = call(&endless).await.unwrap_err();
    assert!(!error.is_refusal() && !error.is_throttled(), "{error}");
}

#[tokio::test]
async fn a_region_is_no_way_into_another_host() {
    let client = Client::new(Place::Given(credentials(None)), None, clock).unwrap();
    for region in [
        "",
        "evil.example/",
        "us-east-1.evil.example",
        "US",
        "us--1",
        "@x",
    ] {
        let sent = json!({});
        let error = client.call("ivs", region, "PutMetadata", &sent).await;
        let error = error.unwrap_err().to_string();
        assert!(error.ends_with("is no region"), "{error}");
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_corrected_once() {
    fn hour_ahead() -> Duration {
        clock() + Duration::from_secs(3_600)
    }
    let server = Scripted::start(|asked| {
        let signed_at = asked.header("x-amz-date").to_owned();
        let now = clock();
        let near = (0..60).map(|ago| basic(now - Duration::from_secs(ago)));
        match near.into_iter().any(|date| date == signed_at) {
            true => Reply::json(200, &json!({"ok": true})),
            false => Reply::json(403, &json!({"message": "Signature expired"}))
                .with("x-amzn-errortype", "InvalidSignatureException")
                .with("date", http_date(now)),
        }
    })
    .await;
    let place = Place::Given(credentials(None));
    let late = Client::new(place.clone(), Some(server.url("")), hour_ahead).unwrap();
    assert_eq!(call(&late).await.unwrap(), json!({"ok": true}));
    assert_eq!(server.asked_now().len(), 2, "signed twice");
    assert_eq!(call(&late).await.unwrap(), json!({"ok": true}));
    assert_eq!(server.asked_now().len(), 3, "and from then on at once");

    // The same error with a clock that is right is the key's.
    let wrong = Scripted::start(|_| {
        Reply::json(403, &json!({"message": "no match\nCanonical-Request"}))
            .with("x-amzn-errortype", "SignatureDoesNotMatch")
            .with("date", http_date(clock()))
    })
    .await;
    let wrong_key = client(place, &wrong, "");
    let error = call(&wrong_key).await.unwrap_err();
    assert!(error.is_refusal(), "{error}");
    assert!(error.to_string().ends_with(": no match"), "{error}");
    assert_eq!(wrong.asked_now().len(), 1);
}

/// As `Date` has it; the day of the week is not looked at.
fn http_date(at: Duration) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let text = basic(at);
    let month: usize = text[4..6].parse().unwrap();
    format!(
        "Mon, {} {} {} {}:{}:{} GMT",
        &text[6..8],
        MONTHS[month - 1],
        &text[..4],
        &text[9..11],
        &text[11..13],
        &text[13..15]
    )
}

/// Temporary credentials, as ECS and EC2 write them, that end so many seconds from now.
fn temporary(id: &str, end_s: i64) -> Reply {
    let end = i64::try_from(now_unix()).unwrap() + end_s;
    let end = basic(Duration::from_secs(end.unsigned_abs()));
    let part = |from, to| &end[from..to];
    let expiration = format!(
        "{}-{}-{}T{}:{}:{}",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(9, 11),
        part(11, 13),
        part(13, 16)
    );
    Reply::json(
        200,
        &json!({
            "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": expiration, "AccessKeyId": id,
            "SecretAccessKey": SECRET, "Token": "tok", "Expiration": expiration, "RoleArn": "r",
        }),
    )
}

fn held(id: &str) -> Credentials {
    Credentials::new(id, SECRET, Some("tok")).unwrap()
}

async fn got(keyring: &Keyring) -> Result<Credentials, CredentialsError> {
    Ok(keyring.credentials().await?.until(None))
}

#[tokio::test]
async fn an_instance_gives_its_roles_credentials_with_a_session_of_its_own() {
    let server = Scripted::start(|asked| match asked.line.as_str() {
        "PUT /latest/api/token" => Reply::text(200, "session=="),
        "GET /latest/meta-data/iam/security-credentials/" => Reply::text(200, "the-role\n"),
        "GET /latest/meta-data/iam/security-credentials/the-role" => temporary("ASIA1", 7_200),
        other => panic!("{other}"),
    })
    .await;
    let endpoint = server.url("");
    let keyring = Keyring::new(Place::Instance { endpoint }, clock).unwrap();
    assert!(got(&keyring).await.unwrap() == held("ASIA1"));
    let asked = server.asked_now();
    assert_eq!(
        asked[0].header("x-aws-ec2-metadata-token-ttl-seconds"),
        "60"
    );
    for asked in &asked[1..] {
        assert_eq!(asked.header("x-aws-ec2-metadata-token"), "session==");
    }
    assert!(got(&keyring).await.unwrap() == held("ASIA1"));
    assert_eq!(server.asked_now().len(), 3, "they are kept");
}

#[tokio::test]
async fn an_instance_that_gives_none_says_why() {
    const ROLES: &str = "GET /latest/meta-data/iam/security-credentials/";
    let cases: [(&str, Play, &str); 9] = [
        (
            "PUT",
            || Reply::text(403, "disabled"),
            "metadata service answered 403: disabled",
        ),
        ("PUT", || Reply::text(200, "a\u{1}b"), "are no credentials"),
        ("PUT", || Reply::Hold, "metadata service: "),
        (ROLES, || Reply::text(404, ""), "this instance has no role"),
        (ROLES, || Reply::text(200, ""), "this instance has no role"),
        (
            ROLES,
            || Reply::text(200, "../../x"),
            "this instance has no role",
        ),
        (
            "role",
            || Reply::json(200, &json!({"Code": "AssumeRoleUnauthorizedAccess"})),
            "not there: AssumeRoleUnauthorizedAccess",
        ),
        (
            "role",
            || Reply::json(200, &json!({"AccessKeyId": "a", "SecretAccessKey": "b c"})),
            "secret access key",
        ),
        ("role", || Reply::Endless, "longer than"),
    ];
    for (at, reply, told) in cases {
        let server = Scripted::start(move |asked| match asked.line.as_str() {
            line if line.starts_with("PUT") && at == "PUT" => reply(),
            line if line.starts_with("PUT") => Reply::text(200, "session"),
            ROLES if at == ROLES => reply(),
            ROLES => Reply::text(200, "role"),
            _ => reply(),
        })
        .await;
        let endpoint = server.url("");
        let keyring = Keyring::new(Place::Instance { endpoint }, clock).unwrap();
        let error = got(&keyring).await.unwrap_err().to_string();
        assert!(error.contains(told), "{at}: {error}");
        // Asked again at once, it says the same without asking there.
        let count = server.asked_now().len();
        assert_eq!(got(&keyring).await.unwrap_err().to_string(), error);
        assert_eq!(server.asked_now().len(), count);
    }
}

#[tokio::test]
async fn a_container_shows_its_token_which_may_change() {
    let server = Scripted::start(|asked| match asked.header("authorization") {
        "" => temporary("ASIANONE", 7_200),
        "given" => temporary("ASIAGIVEN", 7_200),
        "kept" => temporary("ASIAKEPT", 7_200),
        other => panic!("{other}"),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "kept\n").unwrap();
    for (authorization, id) in [
        (Authorization::None, "ASIANONE"),
        (Authorization::Token("given".into()), "ASIAGIVEN"),
        (Authorization::File(file), "ASIAKEPT"),
    ] {
        let url = server.url("/v2/creds");
        let place = Place::Container { url, authorization };
        let keyring = Keyring::new(place, clock).unwrap();
        assert!(got(&keyring).await.unwrap() == held(id), "{id}");
    }
    let missing = Place::Container {
        url: server.url("/"),
        authorization: Authorization::File(folder.path().join("none")),
    };
    let error = got(&Keyring::new(missing, clock).unwrap())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("none: "), "{error}");
}

/// A container's agent, and the time it is there.
async fn agent(answers: impl Fn(usize) -> Reply + Send + 'static) -> (Scripted, Keyring) {
    let mut count = 0;
    let server = Scripted::start(move |_| {
        count += 1;
        answers(count)
    })
    .await;
    let place = Place::Container {
        url: server.url("/"),
        authorization: Authorization::None,
    };
    (server, Keyring::new(place, clock).unwrap())
}

#[tokio::test]
async fn credentials_are_renewed_before_they_end_and_not_in_a_hurry() {
    let (server, keyring) = agent(|count| match count {
        1 => temporary("ASIA1", 290),
        2 => Reply::text(500, ""),
        _ => temporary("ASIA3", 7_200),
    })
    .await;
    assert!(got(&keyring).await.unwrap() == held("ASIA1"));
    assert!(got(&keyring).await.unwrap() == held("ASIA1"));
    assert_eq!(server.asked_now().len(), 1, "it was asked a moment ago");
    pass(11).await;
    assert!(
        got(&keyring).await.unwrap() == held("ASIA1"),
        "what is held is good still"
    );
    assert!(got(&keyring).await.unwrap() == held("ASIA1"));
    assert_eq!(server.asked_now().len(), 2);
    pass(11).await;
    assert!(got(&keyring).await.unwrap() == held("ASIA3"));
    assert!(got(&keyring).await.unwrap() == held("ASIA3"));
    assert_eq!(server.asked_now().len(), 3);
}

/// Lets the clock of what waits go on by so many seconds.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn credentials_that_have_ended_are_used_as_long_as_there_are_no_others() {
    let (server, keyring) = agent(|count| match count {
        1 => temporary("ASIA1", -10),
        _ => Reply::text(500, "away"),
    })
    .await;
    assert!(
        got(&keyring).await.unwrap() == held("ASIA1"),
        "an outage: AWS decides"
    );
    pass(11).await;
    let error = got(&keyring).await.unwrap_err().to_string();
    assert_eq!(error, "the container's agent answered 500: away");
    assert_eq!(server.asked_now().len(), 2);
}

#[tokio::test]
async fn credentials_that_are_refused_are_asked_for_again_and_not_in_a_hurry() {
    let (server, keyring) = agent(|count| match count {
        1 => temporary("ASIA1", 7_200),
        2 => temporary("ASIA2", 7_200),
        _ => Reply::text(500, "away"),
    })
    .await;
    let first = keyring.credentials().await.unwrap();
    for _ in 0..5 {
        keyring.refused(&first).await;
        assert!(got(&keyring).await.unwrap() == held("ASIA1"));
    }
    assert_eq!(server.asked_now().len(), 1, "it was asked a moment ago");
    pass(11).await;
    let next = keyring.credentials().await.unwrap();
    assert!(got(&keyring).await.unwrap() == held("ASIA2"));
    // Those before them are refused in vain.
    keyring.refused(&first).await;
    pass(11).await;
    assert!(got(&keyring).await.unwrap() == held("ASIA2"));
    assert_eq!(server.asked_now().len(), 2);
    keyring.refused(&next).await;
    let error = got(&keyring).await.unwrap_err().to_string();
    assert_eq!(error, "the container's agent answered 500: away");
}

#[tokio::test]
async fn many_that_need_credentials_ask_for_them_once() {
    let (server, keyring) = agent(|_| temporary("ASIA1", 7_200)).await;
    let all = futures_util::future::join_all((0..50).map(|_| got(&keyring))).await;
    assert!(all.into_iter().all(|got| got.unwrap() == held("ASIA1")));
    assert_eq!(server.asked_now().len(), 1);
}

#[tokio::test]
async fn a_profiles_file_is_read_again_when_its_credentials_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [file, config] = ["credentials", "config"].map(|name| folder.path().join(name));
    let write = |id: &str| {
        let keys = format!("aws_access_key_id={id}\naws_secret_access_key={SECRET}\n");
        std::fs::write(&file, format!("[live]\n{keys}aws_session_token=tok\n")).unwrap();
    };
    let server = Scripted::start(|asked| match is_signed(asked, &held("ASIA2")) {
        true => Reply::json(200, &json!({})),
        false => Reply::json(403, &json!({"message": "expired"}))
            .with("x-amzn-errortype", "ExpiredTokenException"),
    })
    .await;
    let place = Place::Profile {
        credentials: file.clone(),
        config,
        name: "live".into(),
    };
    let client = client(place, &server, "");
    let error = call(&client).await.unwrap_err();
    assert!(
        error.to_string().contains("\"live\" is in neither"),
        "{error}"
    );
    assert!(!error.is_refusal(), "a file may come");
    pass(11).await;
    write("ASIA1");
    let error = call(&client).await.unwrap_err();
    assert_eq!(error.kind(), "ExpiredTokenException");
    write("ASIA2");
    pass(11).await;
    assert_eq!(call(&client).await.unwrap(), json!({}));
}

#[test]
fn credentials_are_visible_ascii_and_never_shown() {
    for (id, secret, token, named) in [
        ("", SECRET, None, "access key id"),
        (ID, "a b", None, "secret access key"),
        (ID, "geheim\u{e4}", None, "secret access key"),
        (ID, SECRET, Some("a\nb"), "session token"),
    ] {
        let error = Credentials::new(id, secret, token).unwrap_err().to_string();
        assert!(error.starts_with(named), "{error}");
        assert!(!error.contains("geheim"), "{error}");
    }
    let shown = format!(
        "{:?} {:?}",
        credentials(Some("tok")),
        Place::Given(credentials(None))
    );
    assert!(!shown.contains(ID) && !shown.contains(SECRET), "{shown}");
    let client = Client::new(Place::Given(credentials(None)), None, clock).unwrap();
    assert!(!format!("{client:?}").contains(SECRET));
}
