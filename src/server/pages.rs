//! The viewer page and the browser source.

use std::sync::Arc;

use axum::Router;

use crate::reaction::Palette;

/// The pages' routes.
pub fn router(_stylesheet: Arc<str>, _palette: Arc<Palette>) -> Router {
    Router::new()
}
