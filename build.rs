//! Tells Cargo when the dashboard has been built anew. The folder is made if nobody has built it, so that there is something to
//! watch: a path that is not there would make every build a full one.

fn main() {
    let built = std::path::Path::new("dashboard/dist");
    if !built.exists() && std::fs::create_dir_all(built).is_err() {
        println!("cargo::rerun-if-changed=build.rs");
        return;
    }
    if !built.join("index.html").exists() {
        println!("cargo::warning=built without the dashboard: `make dashboard` builds it (it needs Node.js)");
    }
    println!("cargo::rerun-if-changed=dashboard/dist");
}
