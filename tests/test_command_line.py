"""The parts of the command line that all commands share."""

import contextlib
import functools
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest

from nengo_epes import progress
from nengo_epes.__main__ import main
from nengo_epes.rl import runs

FEW = "--set=n_neurons=40"
COMMANDS = ("demo", "train", "evaluate", "movie", "study", "gui")


def command(*arguments):
    return [sys.executable, "-W", "ignore", "-m", "nengo_epes", *map(str, arguments)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a short run."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    runs.create_run(folder, "CartPole-v1", n_steps=200, n_neurons=40)
    assert runs.resume_run(folder)
    return folder


def usage_error(arguments, capsys):
    """Return the message of a usage error, after the usage of its command."""
    with pytest.raises(SystemExit, match=r"^2$"):
        main(arguments)
    out, err = capsys.readouterr()
    name = " ".join(["nengo-epes", *(x for x in arguments[:1] if x in COMMANDS)])
    assert out == "" and err.startswith(f"usage: {name} ")
    return err.splitlines()[-1].removeprefix(f"{name}: error: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("train", "are required: ENV, or --resume and --output"),
        ("train --resume", "are required: ENV, or --resume and --output"),
        ("study", "arguments are required: ENV"),
        ("train X --speed=1", "unrecognized arguments: --speed=1"),
        ("train X --neurons=wet", r"argument --neurons: invalid choice: 'wet' \(.*lif"),
        ("train X --steps=0", r"argument --steps: .*at least 1 \(got '0'\)$"),
        ("train X --seed=-1", r"argument --seed: .*at least 0 .*\(got '-1'\)$"),
        ("train X --seed=2147483648", r"below 2147483648 \(got '2147483648'\)$"),
        ("train X --set=eta=1", "argument --set: .*no setting 'eta'"),
        ("train X --set=eta_actor", r"NAME=VALUE \(got 'eta_actor'\)"),
        ("train X --set=n_neurons=1.5", r"n_neurons: must be an int .*\(got 1.5\)"),
        ("train X --set=scale_rewards=1", r"scale_rewards: .*True or False \(got 1\)"),
        ("train X --env-arg=a", r"argument --env-arg: must be NAME=VALUE \(got 'a'\)"),
        ("evaluate a --episodes=0", r"--episodes: .*at least 1 \(got '0'\)"),
        ("movie a --output=a.avi", r"--output: must be .mp4 or .gif \(got a.avi\)"),
        ("study X --seeds=0", r"--seeds: .*at least 1 \(got '0'\)"),
        ("demo --seconds=nan", r"--seconds: must be a number .*\(got 'nan'\)"),
        ("demo --seconds=1", r"--seconds: .*at least 3 \(got '1'\)"),
        ("demo --json=delayed-error.png", "--output: must differ from --json"),
        ("demo --quiet --output=a.docx", r"png.* \(got a.docx\)"),
        ("gui --port=x", r"argument --port: must be an int .* \(got 'x'\)"),
        ("gui pong", r"argument NAME|FILE.py: .*bandit.*\(got 'pong'\)"),
    ],
)
def test_usage_errors(words, message, capsys, tmp_path, monkeypatch):
    """A usage error prints the usage of its command and has status 2; nothing is
    written."""
    monkeypatch.chdir(tmp_path)
    assert re.search(message, usage_error(words.split(), capsys))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("demo", ["100.0", "default: 0", "delayed-error.png", "delayed-error.json"]),
        ("train", ["{rate,lif}", "50000", "default: 0", "n_neurons=1000", "NEURONS-"]),
        ("evaluate", ["default: 100", "evaluation.json"]),
        ("movie", ["default: 1", ".mp4 or .gif", "movie.mp4"]),
        ("study", ["{rate,lif}", "default: 10", "default: 0", "study-ENV", "shrink="]),
        ("gui", ["default: 0, a free port", "default: list the models"]),
    ],
)
def test_help_has_defaults_and_choices(name, facts, capsys):
    """`--help` of each command has the defaults and choices of its options."""
    with pytest.raises(SystemExit, match=r"^0$"):
        main([name, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert [fact for fact in facts if fact not in text] == []


def arguments_of(name, trained, tmp_path):
    """Return short work of a command."""
    return {
        "demo": ["--seconds=3", f"--output={tmp_path}/a.png", f"--json={tmp_path}/a"],
        "train": ["CartPole-v1", FEW, "--steps=100", f"--output={tmp_path}/a"],
        "evaluate": [trained, "--episodes=10", f"--json={tmp_path}/a.json"],
        "movie": [trained, f"--output={tmp_path}/a.gif"],
        "study": [
            *["CartPole-v1", FEW, "--seeds=1", "--steps=100"],
            f"--output={tmp_path}/a",
        ],
    }[name]


START = {
    "demo": "simulating ",
    "train": "training CartPole-v1",
    "evaluate": "evaluating ",
    "movie": "filming ",
    "study": "study of CartPole-v1",
}


@pytest.mark.parametrize("name", START)
def test_quiet(name, trained, tmp_path, capsys, monkeypatch):
    """A start line comes before the work, and progress ends with its total;
    `--quiet` hides both, and prints the same results."""
    monkeypatch.setattr(runs, "WINDOW", 5)
    texts = []
    for quiet in ([], ["--quiet"]):
        folder = tmp_path / f"quiet {len(quiet)}"
        folder.mkdir()
        words = [name, *map(str, arguments_of(name, trained, folder)), *quiet]
        assert main(words) == 0
        out, err = capsys.readouterr()
        texts.append((out.replace(str(folder), ""), err))
    (first, *results), progress_lines = texts[0][0].splitlines(), texts[0][1]
    assert first.startswith(START[name])
    last = progress_lines.splitlines()[-1]
    assert re.match(r"([\d,]+) of \1 (steps|episodes), ", last)
    out, err = texts[1]
    assert err == ""
    # rounding differs between two builds of a network
    digits = re.compile(r"\d+\.\d+")
    assert digits.sub("", out) == digits.sub("", "\n".join([*results, ""]))


def test_progress_in_a_file(monkeypatch, capsys):
    """Without a terminal, there is a line every 10 %, with the remaining time."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with progress.Bar(2000) as bar:
        for step in range(1, 2001):
            now[0] += 0.125
            bar.set_postfix_str(f"return {step}", refresh=False)
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    # 8 steps a second
    assert lines[0] == "200 of 2,000 steps, 8 steps/s, 0:03:45 left, return 200"
    assert lines[5] == "1,200 of 2,000 steps, 8 steps/s, 0:01:40 left, return 1200"
    assert lines[9] == "2,000 of 2,000 steps, 8 steps/s, 0:00:00 left, return 2000"
    assert len(lines) == 10


def test_progress_of_resumed_work(monkeypatch, capsys):
    """Earlier units count for the position, and not for the speed."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with progress.Bar(15_000, initial=5000) as bar:
        now[0] += 100.0
        bar.update(4000)
    # 40 steps a second, 6000 are left
    line = "9,000 of 15,000 steps, 40 steps/s, 0:02:30 left"
    assert capsys.readouterr().err.splitlines() == [line]


def test_progress_in_parts(capsys):
    """Parts of a unit that add up inexactly reach every tenth."""
    with progress.Bar(3, "episodes") as bar:
        for _ in range(30):
            bar.update(0.1)
    lines = capsys.readouterr().err.splitlines()
    expected = ["0.3", "0.6", "0.9", "1.2", "1.5", "1.8", "2.1", "2.4", "2.7", "3"]
    assert [line.partition(" of 3 episodes")[0] for line in lines] == expected


def test_progress_in_a_terminal(monkeypatch, capsys):
    """In a terminal, one line is drawn again, at most twice a second."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    with progress.Bar(100, "steps") as bar:
        for _ in range(100):
            now[0] += 0.1
            bar.update()
    text = capsys.readouterr().err
    assert text.endswith("\n") and text.count("\n") == 1
    lines = text.rstrip("\n").split("\r")[1:]
    assert 15 <= len(lines) <= 21 and {len(line) for line in lines} == {59}
    assert lines[-1].startswith("100 of 100 steps, 10 steps/s, 0:00:00 left")


@pytest.mark.parametrize("name", START)
def test_ctrl_c(name, trained, tmp_path):
    """Ctrl-C in a terminal ends a command with status 130, without a traceback."""
    words = [*map(str, arguments_of(name, trained, tmp_path))]
    words += {
        "demo": ["--seconds=100000"],
        "train": ["--steps=1000000"],
        "evaluate": ["--episodes=100000"],
        "movie": ["--episodes=1000"],
        "study": ["--steps=1000000"],
    }[name]
    # Dask prints a traceback after Ctrl-C while its workers start: a known fault
    text = " of 1 runs" if name == "study" else START[name]
    interrupt(command(name, *words), tmp_path, text)


def test_ctrl_c_of_gui(tmp_path):
    """Ctrl-C ends the server of Nengo GUI, with status 130."""
    pytest.importorskip("nengo_gui", reason="needs the extra gui")
    interrupt(command("gui", "bandit", "--no-browser"), tmp_path, "accessible at")


def interrupt(words, folder, text):
    """Run a command in a terminal, and press Ctrl-C a second after a text."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        # a shell lets background jobs ignore Ctrl-C
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    os.close(follower)
    printed, end, pressed = b"", time.monotonic() + 300, None
    try:
        while process.poll() is None:
            assert time.monotonic() < end, printed
            if select.select([leader], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):  # the terminal is closed
                    printed += os.read(leader, 10_000)
            if pressed is None and text.encode() in printed:
                time.sleep(1)
                pressed = os.killpg(process.pid, signal.SIGINT) is None
        assert process.returncode == 130, printed
        assert b"Traceback" not in printed
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(leader)


def test_completion(capsys, monkeypatch, tmp_path):
    """Bash completes commands and options; without shtab a message names the extra."""
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--print-completion", "bash"])
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)
    bash = shutil.which("bash")
    if bash is not None:
        code = f"""
. {script}
function complete_words {{
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    $(complete -p nengo-epes | sed 's/.*-F \\([^ ]*\\).*/\\1/')
    echo "${{COMPREPLY[@]}}"
}}
complete_words nengo-epes ev
complete_words nengo-epes train --neu
"""
        done = subprocess.run([bash, "-c", code], capture_output=True, text=True)
        assert done.stdout.split() == ["evaluate", "--neurons"], done.stderr
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--print-completion", "zsh"])
    assert capsys.readouterr().out.startswith("#compdef nengo-epes")
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 1
    assert "pip install 'nengo-epes[completion]'" in capsys.readouterr().err
