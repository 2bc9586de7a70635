//! `floatup frame`: a scene to one PNG.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::config::FrameJob;
use crate::look::Look;
use crate::output::still::png;
use crate::paint::Painter;
use crate::scene::{self, Scene};

pub(super) fn run(job: &FrameJob) -> Result<()> {
    let scene = read(&job.scene)?;
    let css = job
        .css
        .clone()
        .or_else(|| Some(beside(&job.scene, scene.css.as_deref()?)));
    let look = Look::load(
        css.as_deref(),
        job.emoji_font.as_deref(),
        scene.font_size_px,
    )?;
    let emoji: Vec<_> = scene.emoji().collect();
    let sheet = look
        .sheet(emoji.iter().copied())
        .with_context(|| job.scene.display().to_string())?;
    let mut painter = Painter::new(sheet.clone(), scene.size).with_level(job.simd);
    let placements = scene.placements(&look.motion, &sheet);
    let still = png(painter.paint(placements))?;
    fs::write(&job.out, still).with_context(|| format!("cannot write {}", job.out.display()))
}

fn read(path: &Path) -> Result<Scene> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let mut json = Vec::new();
    file.take(scene::BYTES_MAX + 1)
        .read_to_end(&mut json)
        .with_context(|| format!("cannot read {name}"))?;
    if json.len() as u64 > scene::BYTES_MAX {
        bail!("{name}: more than {} bytes", scene::BYTES_MAX);
    }
    Scene::parse(&json).with_context(|| name.to_string())
}

/// A path that a scene names is relative to the scene's folder, or else to the current one.
fn beside(scene: &Path, css: &str) -> PathBuf {
    let beside = scene.with_file_name(css);
    if beside.exists() { beside } else { css.into() }
}
