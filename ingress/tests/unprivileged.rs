//! Does it run as nobody in a file system that it cannot write to, by the name of `envoy`?

mod support;

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

use http::StatusCode;
use support::{Gateway, Ports, bootstrap, items};
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::kourier::Service;
use tidegate_testkit::program::Program;
use tidegate_testkit::upstream::Upstream;

#[tokio::test]
async fn it_serves_as_nobody_by_the_name_of_envoy_where_it_may_write_nothing() {
    if !rustix::process::geteuid().is_root() {
        // Past the capture of a passing test's output, so that a person sees it.
        let said = writeln!(
            std::io::stderr(),
            "not run: as uid 65534, because only root becomes another user"
        );
        return drop(said);
    }
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let service = Service::numbered(1, vec![upstream.address()]);
    control_plane.set(&items(std::slice::from_ref(&service), ports));
    let start = Program::new("setpriv").args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    // The directory is root's: others read it. The program goes there, too, since those on its own path may not let others in.
    let (folder, name) = (start.folder().to_owned(), start.folder().join("envoy"));
    let program = folder.join("program");
    std::fs::copy(env!("CARGO_BIN_EXE_tidegate-ingress"), &program).expect("a copy");
    symlink(&program, &name).expect("a link");
    std::fs::set_permissions(&folder, Permissions::from_mode(0o555)).expect("our directory");
    let start = start.arg(&name);
    let gateway = Gateway::without_admin_file(start, &bootstrap(control_plane.address()), ports);
    gateway.answers(&service.external_host(), 200).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.program.id()));
    let status = status.expect("it runs");
    let uids = status.lines().find(|line| line.starts_with("Uid:"));
    assert_eq!(uids, Some("Uid:\t65534\t65534\t65534\t65534"));
    assert!(!folder.join("state").exists());
}
