//! The files from which OBS starts: no wizard, no question, and scenes that are there already.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::blend::Blend;

/// Every scene is so large unless a test asks for another, and everything in it is drawn at its own
/// size.
pub(crate) const SIZE: (u32, u32) = (640, 360);

const FPS: u32 = 30;

/// The name of profile and collection.
pub(crate) const NAME: &str = "test";

/// The colour behind the media.
pub(crate) const BACKGROUND: &str = "Background";

/// The Media Source, which is in all scenes.
pub(crate) const MEDIA: &str = "Media";

/// Where obs-websocket listens. Nobody else is in the network namespace.
pub(crate) const PORT: u16 = 4455;

/// Writes everything into a new folder that is OBS's `XDG_CONFIG_HOME`; scenes are of this size.
pub(crate) fn write(home: &Path, size: (u32, u32)) {
    let put = |path: &str, text: &str| {
        let path = home.join("obs-studio").join(path);
        let folder = path.parent().expect("it is in a folder");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    };
    let global = global();
    put("global.ini", &global);
    // From OBS 31 on a person's settings have a file of their own, and so has obs-websocket.
    put("user.ini", &global);
    put(
        "plugin_config/obs-websocket/config.json",
        &json!({"first_load": false, "server_enabled": true, "server_port": PORT,
                "alerts_enabled": false, "auth_required": false})
        .to_string(),
    );
    let profile = format!("basic/profiles/{NAME}/basic.ini");
    put(&profile, &video(size));
    let collection = format!("basic/scenes/{NAME}.json");
    put(&collection, &scenes(size).to_string());
}

fn global() -> String {
    // A LastVersion that is newer than any keeps what's-new windows away.
    format!(
        "[General]
Pre19Defaults=false
Pre21Defaults=false
Pre23Defaults=false
Pre24.1Defaults=false
FirstRun=true
LastVersion=989855744
InfoIncrement=999
EnableAutoUpdates=false
ConfirmOnExit=false

[Basic]
Profile={NAME}
ProfileDir={NAME}
SceneCollection={NAME}
SceneCollectionFile={NAME}
ConfigOnNewProfile=false

[BasicWindow]
PreviewEnabled=false
SysTrayEnabled=false

[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
ServerPort={PORT}
AlertsEnabled=false
AuthRequired=false
"
    )
}

fn video((width, height): (u32, u32)) -> String {
    format!(
        "[General]
Name={NAME}

[Video]
BaseCX={width}
BaseCY={height}
OutputCX={width}
OutputCY={height}
FPSType=1
FPSInt={FPS}
"
    )
}

/// A scene for each way to blend, with the one Media Source over the one background.
fn scenes((width, height): (u32, u32)) -> Json {
    let color = json!({"width": width, "height": height});
    let mut sources = vec![
        source("color_source_v3", BACKGROUND, &color),
        source("ffmpeg_source", MEDIA, &json!({})),
    ];
    for blend in Blend::ALL {
        let items = [item(1, BACKGROUND, Blend::Default), item(2, MEDIA, blend)];
        let scene = json!({"id_counter": items.len(), "items": items});
        sources.push(source("scene", blend.scene(), &scene));
    }
    let order = Blend::ALL.map(|blend| json!({"name": blend.scene()}));
    let first = Blend::Default.scene();
    json!({"name": NAME, "sources": sources, "scene_order": order,
           "current_scene": first, "current_program_scene": first})
}

fn source(kind: &str, name: &str, settings: &Json) -> Json {
    json!({"id": kind, "versioned_id": kind, "name": name, "settings": settings, "enabled": true})
}

fn item(id: u32, source: &str, blend: Blend) -> Json {
    let origin = json!({"x": 0.0, "y": 0.0});
    json!({"id": id, "name": source, "visible": true, "pos": origin, "align": 5,
           "scale": {"x": 1.0, "y": 1.0}, "blend_method": blend.method()})
}
