"""Objects of several sizes go both ways between s3-cli and boto3, and must be the same."""

import hashlib
import os
import subprocess
import sys
import tempfile

import boto3

MIB = 1 << 20


def start_server(program):
    """The development server, and the variables that it says to export."""
    command = [program, "--port", "0", "--bucket", "demo"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    variables = {}
    for line in server.stdout:
        words = line.split()
        if words[:1] == ["export"]:
            name, value = words[1].split("=", 1)
            variables[name] = value.strip("'\"")
        if "AWS_ENDPOINT_URL" in variables and not words:
            break
    return server, variables


def check(cli, s3, folder, size):
    data = os.urandom(size)
    path = os.path.join(folder, "data")
    with open(path, "wb") as file:
        file.write(data)
    for key, source, stdin in (("file", path, None), ("pipe", "-", data)):
        key = f"{key} {size} %20 ü"
        subprocess.run([cli, "put", source, f"s3://demo/{key}"], input=stdin, check=True)
        answer = s3.get_object(Bucket="demo", Key=key, ChecksumMode="ENABLED")
        assert answer["Body"].read() == data, f"boto3 read other bytes from {key}"
        assert answer["ChecksumCRC64NVME"], f"{key} has no CRC64NVME"
    key = f"boto3-{size}"
    s3.upload_file(path, "demo", key)
    read = subprocess.run([cli, "cat", f"s3://demo/{key}"], stdout=subprocess.PIPE, check=True)
    same = hashlib.sha256(read.stdout).digest() == hashlib.sha256(data).digest()
    assert same, f"s3-cli read other bytes from {key}"


def main():
    cli, server_program = sys.argv[1:]
    server, variables = start_server(server_program)
    try:
        os.environ.update(variables)
        s3 = boto3.client("s3")
        sizes = [0, 1, 8 * MIB, 8 * MIB + 1, 20 * MIB + 7]
        with tempfile.TemporaryDirectory() as folder:
            for size in sizes:
                check(cli, s3, folder, size)
        assert not s3.list_multipart_uploads(Bucket="demo").get("Uploads"), "an upload is left"
        print(f"interop: {len(sizes)} sizes, from file and pipe, both ways: the same bytes")
    finally:
        server.terminate()


main()
