//! `floatup frame`: a scene to one PNG.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::config::{FrameJob, LookSettings};
use crate::frame::{Alpha, PixelFormat};
use crate::look::Look;
use crate::output::still::png;
use crate::paint::Painter;
use crate::scene::{self, Scene};

pub(super) fn run(job: &FrameJob) -> Result<()> {
    let scene = read(&job.scene, job.scale)?;
    let mut settings = LookSettings {
        font_size_px: scene.font_size_px,
        scale: scene.scale,
        ..job.look.clone()
    };
    if settings.css.is_none() {
        settings.css = scene.css.as_deref().map(|css| beside(&job.scene, css));
    }
    let look = Look::load(&settings)?;
    let emoji: Vec<_> = scene.emoji().collect();
    let cast = look
        .cast(&job.palette, emoji.iter().copied(), scene.size)
        .with_context(|| job.scene.display().to_string())?;
    let mut painter = Painter::new(Arc::clone(cast.sheet()), scene.size).with_level(job.simd);
    let placements = scene.placements(&cast);
    let frame = painter
        .paint(placements)
        .frame(Alpha::Straight, PixelFormat::Rgba);
    let still = png(&frame)?;
    fs::write(&job.out, still).with_context(|| format!("cannot write {}", job.out.display()))
}

fn read(path: &Path, scale: Option<f64>) -> Result<Scene> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let mut json = Vec::new();
    file.take(scene::BYTES_MAX + 1)
        .read_to_end(&mut json)
        .with_context(|| format!("cannot read {name}"))?;
    if json.len() as u64 > scene::BYTES_MAX {
        bail!("{name}: more than {} bytes", scene::BYTES_MAX);
    }
    Scene::parse(&json, scale).with_context(|| name.to_string())
}

/// A path that a scene names is relative to the scene's folder, or else to the current one.
fn beside(scene: &Path, css: &str) -> PathBuf {
    let beside = scene.with_file_name(css);
    if beside.exists() { beside } else { css.into() }
}
