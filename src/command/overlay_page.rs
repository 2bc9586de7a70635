//! `floatup overlay-page`: the browser source as one file.

use std::fs;

use anyhow::{Context, Result};

use crate::config::{LookSettings, PageJob};
use crate::look::Look;
use crate::server::pages::standalone_overlay;

pub(super) fn run(job: &PageJob) -> Result<()> {
    // A page is drawn with the browser's own fonts.
    let look = Look::load(&LookSettings {
        emoji_font: None,
        images: Vec::new(),
        ..job.channel.picture.look.clone()
    })?;
    let page = standalone_overlay(&look.text, job.url.as_str(), &job.channel.name);
    if job.out.as_os_str() == "-" {
        return super::tell(&page);
    }
    fs::write(&job.out, page).with_context(|| format!("cannot write {}", job.out.display()))
}
