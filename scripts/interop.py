"""Objects of several sizes go both ways between s3-cli and boto3, and must be the same."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile

import boto3

import dev_s3

MIB = 1 << 20


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


def check_attributes(cli, s3, size):
    """What goes with an object besides its bytes, on both ways of writing, is what boto3 sees."""
    key = f"attributes-{size}.csv"
    uri = f"s3://demo/{key}"
    subprocess.run(
        [cli, "put", "-", uri, "--tag", "team=a b&c", "--tag", "größe=7", "--storage-class=STANDARD_IA"]
        + ["--cache-control=max-age=60", "--content-disposition=attachment", "--content-language=de"]
        + ["--metadata=k=v", "--sse=aws:kms", "--sse-kms-key-id=alias/k"],
        input=os.urandom(size),
        check=True,
    )
    head = s3.head_object(Bucket="demo", Key=key)
    expected = {
        "ContentType": "text/csv",
        "CacheControl": "max-age=60",
        "ContentDisposition": "attachment",
        "ContentLanguage": "de",
        "StorageClass": "STANDARD_IA",
        "Metadata": {"k": "v"},
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "alias/k",
    }
    found = {name: head.get(name) for name in expected}
    assert found == expected, f"boto3 sees {found}"
    tags = s3.get_object_tagging(Bucket="demo", Key=key)["TagSet"]
    tags = {tag["Key"]: tag["Value"] for tag in tags}
    assert tags == {"team": "a b&c", "größe": "7"}, f"boto3 sees the tags {tags}"
    s3.put_object(Bucket="demo", Key=key, Body=b"", CacheControl="no-store", Tagging="a=b")
    stat = subprocess.run([cli, "stat", "--json", uri], stdout=subprocess.PIPE, check=True)
    stat = json.loads(stat.stdout)
    assert stat["cache_control"] == "no-store" and stat["tag_count"] == 1, f"s3-cli sees {stat}"


def main():
    cli, server_program = sys.argv[1:]
    server, variables = dev_s3.start(server_program)
    try:
        os.environ.update(variables)
        s3 = boto3.client("s3")
        sizes = [0, 1, 8 * MIB, 8 * MIB + 1, 20 * MIB + 7]
        with tempfile.TemporaryDirectory() as folder:
            for size in sizes:
                check(cli, s3, folder, size)
        for size in (7, 20 * MIB):
            check_attributes(cli, s3, size)
        assert not s3.list_multipart_uploads(Bucket="demo").get("Uploads"), "an upload is left"
        print(f"interop: {len(sizes)} sizes, from file and pipe, both ways: the same bytes")
        print("interop: tags, headers, storage class and encryption, both ways: the same")
    finally:
        server.terminate()


main()
