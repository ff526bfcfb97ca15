"""Objects of several sizes go both ways between s3-cli and boto3, and must be the same."""

import gzip
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


def check_encoding(cli, s3, folder):
    """What is compressed with a Content-Encoding is decoded by HTTP clients, and by s3-cli."""
    data = b"".join(b"line %d\n" % (n * n % 10007) for n in range(200_000))
    path = os.path.join(folder, "text")
    with open(path, "wb") as file:
        file.write(data)
    for encoding in ("gzip", "zstd"):
        key = f"encoded-{encoding}"
        put = [cli, "put", "--compress", encoding, path, f"s3://demo/{key}"]
        subprocess.run(put, check=True)
        answer = s3.head_object(Bucket="demo", Key=key)
        assert answer["ContentEncoding"] == encoding, f"{key} has no Content-Encoding"
        assert answer["ContentLength"] < len(data), f"{key} is not compressed"
        read = subprocess.run([cli, "cat", f"s3://demo/{key}"], stdout=subprocess.PIPE, check=True)
        assert read.stdout == data, f"s3-cli decoded {key} to other bytes"
    url = s3.generate_presigned_url("get_object", {"Bucket": "demo", "Key": "encoded-gzip"})
    curl = ["curl", "--silent", "--fail", "--compressed", url]
    read = subprocess.run(curl, stdout=subprocess.PIPE, check=True)
    assert read.stdout == data, "curl decoded encoded-gzip to other bytes"
    s3.put_object(
        Bucket="demo", Key="by-boto3", Body=gzip.compress(data), ContentEncoding="gzip"
    )
    read = subprocess.run([cli, "cat", "s3://demo/by-boto3"], stdout=subprocess.PIPE, check=True)
    assert read.stdout == data, "s3-cli decoded what boto3 stored to other bytes"


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
            check_encoding(cli, s3, folder)
        for size in (7, 20 * MIB):
            check_attributes(cli, s3, size)
        assert not s3.list_multipart_uploads(Bucket="demo").get("Uploads"), "an upload is left"
        print(f"interop: {len(sizes)} sizes, from file and pipe, both ways: the same bytes; encoded, too")
        print("interop: tags, headers, storage class and encryption, both ways: the same")
    finally:
        server.terminate()


main()
