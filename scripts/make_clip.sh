#!/bin/sh
# Makes src/voxfleet/samples/hello.wav, the clip that the README, the printed curl line and the tests use.
#
# Tool:    flite 2.2 (Debian, Ubuntu: apt install flite), a free synthesiser from Carnegie Mellon
#          University; its licence is of the BSD kind and asks nothing of the sound it makes.
# Voice:   rms, built from the CMU ARCTIC recordings, free for any use.
# Licence: nobody's recording, nobody's text; the clip is under this repository's licence.
#
# Chosen because the bundled English model reads it exactly right, as it is and with up to 0.3 s of
# silence more or less around it. Other sentences and voices were tried and were not.
set -eu
voice=rms
text='The meeting will begin at nine in the morning. Please write down what people say.'

cd "$(dirname "$0")/.."
command -v flite >/dev/null 2>&1 || {
    echo "make_clip: flite is not installed (Debian, Ubuntu: apt install flite)" >&2
    exit 1
}
flite -voice "$voice" -t "$text" -o src/voxfleet/samples/hello.wav
