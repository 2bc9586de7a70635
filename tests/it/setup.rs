//! `.ci/setup` on systems made of a folder of small programs: what each package manager is asked
//! for, and that nothing is asked for when nothing is missing.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::floatup::stderr;
use crate::tree::root;

/// Programs that a package manager brings, and what they do here.
const PROGRAMS: &[(&str, &str)] = &[
    ("cc", "exit 0"),
    ("c++", "exit 0"),
    ("pkg-config", "exit 0"),
    ("ffmpeg", "exit 0"),
    ("ffprobe", "exit 0"),
    ("gst-launch-1.0", "exit 0"),
    ("gst-inspect-1.0", "exit 0"),
    ("chromium", "exit 0"),
    ("fc-list", "echo NotoColorEmoji.ttf"),
    ("node", "exit 0"),
    (
        "npm",
        "echo \"npm $*\" >>$LOG; cp -r $STORE/node_modules tests/node/",
    ),
    ("nats-server", "exit 0"),
    ("redis-server", "exit 0"),
    ("mosquitto", "exit 0"),
    ("mosquitto_passwd", "exit 0"),
    ("openssl", "exit 0"),
    ("mpv", "exit 0"),
    ("obs", "exit 0"),
    ("Xvfb", "exit 0"),
    ("ip", "exit 0"),
    ("unshare", "exit 0"),
    // Asked for rustup's installer, it prints one.
    (
        "curl",
        "echo \"curl $*\" >>$LOG; echo 'cp $STORE/cargo $STORE/rustc $BIN/'",
    ),
];

/// Rust, which some package managers bring too.
const RUST: &[(&str, &str)] = &[
    ("rustc", "exit 0"),
    (
        "cargo",
        "case \"$*\" in
            --version) echo 'cargo 1.95.0 (f2d3ce0bd 2026-03-21)' ;;
            install*) echo \"cargo $*\" >>$LOG; printf '#!/bin/sh\\n' >$BIN/cargo-nextest
                chmod +x $BIN/cargo-nextest ;;
        esac",
    ),
];

/// A system: its PATH, and a record of what was run there.
struct System {
    folder: tempfile::TempDir,
}

impl System {
    /// A system with a shell's own programs and nothing else.
    fn bare() -> Self {
        let system = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for folder in [
            "bin",
            "store",
            "lib",
            "home",
            "servers",
            "checkout/.ci",
            "checkout/tests/node",
        ] {
            std::fs::create_dir_all(system.path(folder)).unwrap();
        }
        for file in [".ci/setup", "Cargo.toml", "tests/node/package.json"] {
            std::fs::copy(root().join(file), system.path("checkout").join(file)).unwrap();
        }
        system.write_node_packages("store");
        for name in ["sh", "dirname", "env", "cp", "chmod"] {
            let real = ["/bin", "/usr/bin"].map(|f| Path::new(f).join(name));
            let real = real.iter().find(|path| path.exists());
            symlink(real.unwrap(), system.path("bin").join(name)).unwrap();
        }
        for (name, script) in PROGRAMS.iter().chain(RUST) {
            system.write("store", name, script);
        }
        // Without it the script looks where this machine's fonts are.
        system.write("bin", "fc-list", "exit 0");
        system.write("bin", "uname", "echo Linux");
        system.user(0)
    }

    /// All that a purpose needs is there.
    fn complete(self) -> Self {
        for (name, script) in PROGRAMS.iter().chain(RUST) {
            self.write("bin", name, script);
        }
        self.write("bin", "cargo-nextest", "exit 0");
        std::fs::write(self.path("lib/libclang.so.1"), "").unwrap();
        self.write_node_packages("checkout/tests/node");
        self
    }

    /// The packages of tests/node, as npm leaves them.
    fn write_node_packages(&self, folder: &str) {
        let wanted = std::fs::read(root().join("tests/node/package.json")).unwrap();
        let wanted: serde_json::Value = serde_json::from_slice(&wanted).unwrap();
        for (name, version) in wanted["dependencies"].as_object().unwrap() {
            let package = self.path(folder).join("node_modules").join(name);
            std::fs::create_dir_all(&package).unwrap();
            let text = format!("{{\n  \"name\": \"{name}\",\n  \"version\": {version}\n}}\n");
            std::fs::write(package.join("package.json"), text).unwrap();
        }
    }

    /// A package manager that installs everything, whatever it is asked for.
    fn manager(self, name: &str) -> Self {
        let programs = match name {
            "apt-get" => PROGRAMS.to_vec(),
            _ => [PROGRAMS, RUST].concat(),
        };
        let names: Vec<_> = programs
            .iter()
            .map(|(n, _)| format!("$STORE/{n}"))
            .collect();
        self.write(
            "bin",
            name,
            &format!(
                "echo \"{name} $*\" >>$LOG
                if [ \"$1\" != update ]; then cp {} $BIN/; : >$LIBCLANG_PATH/libclang.so.1; fi",
                names.join(" ")
            ),
        );
        self
    }

    fn user(self, id: u32) -> Self {
        self.write("bin", "id", &format!("echo {id}"));
        self
    }

    fn sudo(self) -> Self {
        self.write("bin", "sudo", "echo \"sudo $*\" >>$LOG; exec \"$@\"");
        self
    }

    fn without(self, name: &str) -> Self {
        std::fs::remove_file(self.path("bin").join(name)).unwrap();
        self
    }

    fn with(self, name: &str, script: &str) -> Self {
        self.write("bin", name, script);
        self
    }

    fn write(&self, folder: &str, name: &str, script: &str) {
        let path = self.path(folder).join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn setup(&self, arguments: &[&str]) -> Output {
        Command::new(self.path("checkout/.ci/setup"))
            .args(arguments)
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.path("home"))
            .env("LIBCLANG_PATH", self.path("lib"))
            .env("SERVERS", self.path("servers"))
            .env("BIN", self.path("bin"))
            .env("STORE", self.path("store"))
            .env("LOG", self.path("log"))
            .output()
            .unwrap()
    }

    fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// Setting up ends well and runs just these commands, by the record.
fn check_runs(system: &System, arguments: &[&str], expected: &[&str]) {
    let output = system.setup(arguments);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {told}");
    assert_eq!(system.log(), expected, "{arguments:?}: {told}");
}

fn is_ubuntu() -> bool {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    text.lines().any(|line| line == "ID=ubuntu")
}

const LIBAV_APT: &str = "libavcodec-dev libavformat-dev libavutil-dev libavfilter-dev \
                         libavdevice-dev libswscale-dev libswresample-dev";
const LIBAV_DNF: &str = "libavcodec-free-devel libavformat-free-devel libavutil-free-devel \
                         libavfilter-free-devel libavdevice-free-devel libswscale-free-devel \
                         libswresample-free-devel";
const GSTREAMER_APT: &str =
    "gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good";
const OBS_APT: &str = "obs-studio libgl1-mesa-dri xvfb iproute2 util-linux";
const RUSTUP: &str = "curl --proto =https --tlsv1.2 -sSf https://sh.rustup.rs";
const NPM: &str = "npm install --no-package-lock --no-fund --no-audit --prefix tests/node";
const NEXTEST: &str = "cargo install --locked cargo-nextest";

#[test]
fn nothing_missing_runs_nothing_for_any_user() {
    for purpose in ["build", "run", "test", "lint", "bench"] {
        for manager in ["apt-get", "dnf", "pacman", "brew"] {
            let system = System::bare().complete().manager(manager).sudo().user(1000);
            let output = system.setup(&[purpose]);
            assert_eq!(output.status.code(), Some(0), "{purpose} {manager}");
            assert_eq!(system.log(), Vec::<String>::new(), "{purpose} {manager}");
            assert_eq!(stderr(&output), "", "{purpose} {manager}");
        }
    }
}

#[test]
fn apt_installs_what_it_has_and_rust_comes_from_its_own_installer() {
    let chromium = if is_ubuntu() {
        "chromium-browser"
    } else {
        "chromium"
    };
    let build = format!("gcc libc6-dev pkg-config {LIBAV_APT} libclang-dev curl ca-certificates");
    let install = "apt-get install -y --no-install-recommends";
    check_runs(
        &System::bare().manager("apt-get"),
        &["run"],
        &["apt-get update", &format!("{install} {build}"), RUSTUP],
    );
    check_runs(
        &System::bare()
            .complete()
            .without("chromium")
            .without("ffmpeg")
            .manager("apt-get"),
        &["bench"],
        &["apt-get update", &format!("{install} ffmpeg {chromium}")],
    );
    let test = build.replace(" curl ca-certificates", "");
    let test = format!(
        "{test} curl ca-certificates ffmpeg {GSTREAMER_APT} {chromium} fonts-noto-color-emoji \
         nodejs npm nats-server redis-server mosquitto openssl mpv {OBS_APT}"
    );
    check_runs(
        &System::bare().manager("apt-get"),
        &["test"],
        &[
            "apt-get update",
            &format!("{install} {test}"),
            RUSTUP,
            NPM,
            NEXTEST,
        ],
    );
}

#[test]
fn the_other_managers_bring_rust_too() {
    let s = match Path::new("/var/lib/pacman/sync/core.db").exists() {
        true => "-S",
        false => "-Sy",
    };
    let dnf = format!("dnf install -y gcc pkgconf-pkg-config {LIBAV_DNF} clang-devel cargo rust");
    let pacman = format!("pacman {s} --needed --noconfirm gcc pkgconf ffmpeg clang rust");
    let brew = "brew install gcc pkgconf ffmpeg llvm rust";
    for (manager, build, system, test) in [
        (
            "dnf",
            &dnf[..],
            "Linux",
            vec![
                "ffmpeg-free gstreamer1 gstreamer1-plugins-base gstreamer1-plugins-good chromium \
                 curl google-noto-color-emoji-fonts nodejs nodejs-npm nats-server redis mosquitto \
                 openssl mpv obs-studio mesa-dri-drivers xorg-x11-server-Xvfb iproute util-linux",
            ],
        ),
        (
            "pacman",
            &pacman,
            "Linux",
            vec![
                "gstreamer gst-plugins-base gst-plugins-good chromium curl noto-fonts-emoji nodejs \
                 npm nats-server valkey mosquitto openssl mpv obs-studio mesa xorg-server-xvfb \
                 iproute2 util-linux",
            ],
        ),
        // Where there are no network namespaces, the tests with OBS aren't run.
        (
            "brew",
            brew,
            "Darwin",
            vec![
                "gstreamer curl node nats-server redis mosquitto openssl",
                "brew install --cask chromium font-noto-color-emoji",
            ],
        ),
    ] {
        check_runs(&System::bare().manager(manager), &["run"], &[build]);
        let mut expected = vec![format!("{build} {}", test[0])];
        expected.extend(test[1..].iter().map(|s| (*s).to_owned()));
        expected.extend([NPM.into(), NEXTEST.into()]);
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        let uname = format!("echo {system}");
        let system = System::bare().manager(manager).with("uname", &uname);
        check_runs(&system, &["test"], &expected);
    }
}

#[test]
fn only_what_is_missing_is_installed() {
    let system = System::bare().complete().manager("dnf").without("ffprobe");
    check_runs(&system, &["run"], &[]);
    check_runs(&system, &["test"], &["dnf install -y ffmpeg-free"]);
    // A plugin is not there.
    let system = System::bare()
        .complete()
        .manager("dnf")
        .with("gst-inspect-1.0", "[ \"$2\" != pngdec ]");
    check_runs(
        &system,
        &["test"],
        &["dnf install -y gstreamer1 gstreamer1-plugins-base gstreamer1-plugins-good"],
    );
    let system = System::bare()
        .complete()
        .manager("dnf")
        .without("Xvfb")
        .without("ip");
    check_runs(
        &system,
        &["test"],
        &["dnf install -y xorg-x11-server-Xvfb iproute"],
    );
    // A server is there, where no user's PATH leads.
    let system = System::bare()
        .complete()
        .manager("apt-get")
        .without("nats-server")
        .without("mosquitto_passwd");
    system.write("servers", "nats-server", "exit 0");
    let install = "apt-get install -y --no-install-recommends mosquitto";
    check_runs(&system, &["test"], &["apt-get update", install]);
    let system = System::bare()
        .complete()
        .manager("dnf")
        .without("cargo-nextest");
    check_runs(&system, &["test"], &[NEXTEST]);
    let system = System::bare().complete().without("cargo-nextest");
    check_runs(&system, &["test"], &[NEXTEST]);
    // Of another version, and gone.
    let package = "checkout/tests/node/node_modules/ws/package.json";
    let system = System::bare().complete();
    std::fs::write(system.path(package), "{\n  \"version\": \"8.23.01\"\n}\n").unwrap();
    check_runs(&system, &["test"], &[NPM]);
    let system = System::bare().complete();
    std::fs::remove_file(system.path(package)).unwrap();
    check_runs(&system, &["test"], &[NPM]);
    let system = System::bare().complete().manager("dnf");
    std::fs::remove_file(system.path("lib/libclang.so.1")).unwrap();
    check_runs(&system, &["build"], &["dnf install -y clang-devel"]);
    let system = System::bare()
        .complete()
        .manager("dnf")
        .with("fc-list", "exit 0");
    check_runs(
        &system,
        &["test"],
        &["dnf install -y google-noto-color-emoji-fonts"],
    );
}

#[test]
fn rust_that_is_too_old_is_replaced() {
    let old = |manager: &str| {
        let system = System::bare().complete().manager(manager);
        system.with("cargo", "echo 'cargo 1.63.0 (fd9c4297c 2022-07-01)'")
    };
    check_runs(&old("apt-get"), &["build"], &[RUSTUP]);
    check_runs(&old("dnf"), &["build"], &["dnf install -y cargo rust"]);
    let stays = old("dnf").with("dnf", "echo \"dnf $*\" >>$LOG");
    check_runs(&stays, &["build"], &["dnf install -y cargo rust", RUSTUP]);
    let rustup = "echo \"rustup $*\" >>$LOG; cp $STORE/cargo $BIN/";
    let with_rustup = old("apt-get").with("rustup", rustup);
    check_runs(&with_rustup, &["build"], &["rustup update stable"]);
}

#[test]
fn sudo_is_used_by_others_than_root_and_only_to_install() {
    let system = System::bare().manager("apt-get").user(1000).sudo();
    let output = system.setup(&["run"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let log = system.log();
    assert_eq!(log[0], "sudo apt-get update");
    assert!(
        log[2].starts_with("sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y"),
        "{log:?}"
    );
    let sudos = log.iter().filter(|line| line.starts_with("sudo")).count();
    assert_eq!(sudos, 2, "{log:?}");

    let system = System::bare().manager("brew").user(1000).sudo();
    assert_eq!(system.setup(&["run"]).status.code(), Some(0));
    assert!(!system.log().iter().any(|line| line.starts_with("sudo")));

    let system = System::bare().manager("dnf").user(1000);
    let output = system.setup(&["run"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains("no sudo; as root, run: dnf install -y gcc"),
        "{told}"
    );
    assert_eq!(system.log(), Vec::<String>::new());
}

#[test]
fn an_unknown_system_gets_the_list() {
    let system = System::bare();
    let output = system.setup(&["test"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    for part in [
        "a C compiler",
        "pkg-config",
        "libavcodec",
        "libclang",
        "Rust 1.89",
        "ffprobe",
        "GStreamer",
        "Chromium",
        "curl",
        "Noto Color Emoji",
        "nats-server",
        "redis-server",
        "mosquitto_passwd",
        "openssl",
        "mpv",
        "OBS Studio",
        "Xvfb",
        "iproute2",
        "util-linux",
        "Node",
        "npm install",
        "cargo-nextest",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let output = System::bare()
        .complete()
        .without("pkg-config")
        .setup(&["run"]);
    let told = stderr(&output);
    assert!(told.contains("- pkg-config"), "{told}");
    assert!(!told.contains("Rust"), "{told}");
    assert_eq!(system.log(), Vec::<String>::new());
}

#[test]
fn a_dry_run_prints_and_does_nothing() {
    for manager in ["apt-get", "dnf", "pacman", "brew"] {
        let system = System::bare().manager(manager);
        let output = system.setup(&["test", "--dry-run"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(system.log(), Vec::<String>::new());
        let told = stderr(&output);
        assert!(
            told.contains(&format!("+ {manager} ")) || told.contains("+ env "),
            "{told}"
        );
        assert!(told.contains("rustup"), "{told}");
        assert!(
            told.contains("+ cargo install --locked cargo-nextest"),
            "{told}"
        );
        assert!(told.contains(&format!("+ {NPM}")), "{told}");
    }
}

#[test]
fn what_is_still_missing_is_named() {
    let system = System::bare()
        .complete()
        .without("ffmpeg")
        .with("dnf", "exit 0");
    let output = system.setup(&["test"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains("still missing after installing: the programs ffmpeg"),
        "{told}"
    );
    let failing = System::bare()
        .complete()
        .without("ffmpeg")
        .with("dnf", "exit 7");
    assert_eq!(failing.setup(&["test"]).status.code(), Some(7));
    for arguments in [&[][..], &["deploy"], &["--dry-run"]] {
        let output = system.setup(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("expected build, run, test, lint or bench"));
    }
}
