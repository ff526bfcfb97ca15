"""boto3_put.py CLIENT PART_SIZE CONCURRENCY SOURCE s3://BUCKET/KEY: as one writes it with boto3.

CLIENT is `classic` or `crt`; PART_SIZE and CONCURRENCY are numbers, or 0 for boto3's defaults. SOURCE
is a file, a folder, or `-` for standard input.
"""

import concurrent.futures
import os
import sys

import boto3
import botocore.config
from boto3.s3.transfer import TransferConfig

client_kind, part_size, concurrency, source, uri = sys.argv[1:]
part_size, concurrency = int(part_size), int(concurrency)
bucket, key = uri.removeprefix("s3://").split("/", 1)
tuning = {"multipart_chunksize": part_size, "multipart_threshold": part_size} if part_size else {}
at_once = {"max_concurrency": concurrency} if concurrency else {}
config = TransferConfig(preferred_transfer_client=client_kind, **tuning, **at_once)
pool = botocore.config.Config(max_pool_connections=max(concurrency, 10))
s3 = boto3.client("s3", config=pool)

if source == "-":
    s3.upload_fileobj(sys.stdin.buffer, bucket, key, Config=config)
elif os.path.isdir(source):
    with concurrent.futures.ThreadPoolExecutor(concurrency or 10) as threads:
        uploads = [
            threads.submit(s3.upload_file, os.path.join(source, name), bucket, key + name)
            for name in os.listdir(source)
        ]
        for upload in uploads:
            upload.result()
else:
    s3.upload_file(source, bucket, key, Config=config)
