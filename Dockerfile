# One image for everything of ours: a service, the world outside, the demonstration, the command line.
FROM python:3.13-slim AS made
COPY platform/image.lock /tmp/image.lock
# Only wheels, so that nothing is compiled; pip itself stays out of what is copied.
RUN python -m venv --without-pip /opt/stagepost \
 && python -m pip --python /opt/stagepost/bin/python install --no-cache-dir --no-deps \
    --require-hashes --only-binary :all: --requirement /tmp/image.lock
WORKDIR /app
COPY stagepost.toml ./
COPY platform/health.py platform/front.py platform/
COPY platform/stagepost platform/stagepost
COPY contracts contracts
COPY services services
# The root file system is read only later: modules are compiled now.
RUN python -m compileall -q platform contracts services

FROM python:3.13-slim
ENV PATH=/opt/stagepost/bin:$PATH PYTHONPATH=/app/platform:/app
WORKDIR /app
COPY --from=made /opt/stagepost /opt/stagepost
COPY --from=made /app /app
# Where volumes go takes after these: the stack's folder is the operator's, mails anybody's.
RUN install -d -o 10001 -g 10001 .stagepost && install -d -m 1777 mail
USER 10001:10001
ENTRYPOINT ["python", "-m", "stagepost"]
CMD ["--help"]
