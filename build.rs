//! Tells the crate which FFmpeg it is built against: libavformat 62 keeps a stream's side data
//! elsewhere than those before it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(ffmpeg_8)");
    println!("cargo::rerun-if-env-changed=DEP_FFMPEG_FFMPEG_8_0");
    #[expect(
        clippy::disallowed_methods,
        reason = "how Cargo hands on what the bindings found"
    )]
    if std::env::var_os("DEP_FFMPEG_FFMPEG_8_0").is_some_and(|is| is == "true") {
        println!("cargo::rustc-cfg=ffmpeg_8");
    }
}
