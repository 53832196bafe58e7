# Image that serves a classifier: nlp-rnn serve on port 8000, without torch.
#
#   docker build --tag nlp_rnn .
#   docker run --publish 127.0.0.1:8000:8000 --volume "$PWD/reviews/classifier:/classifier:ro" nlp_rnn
#
# For classifiers in MLflow (models:/NAME@champion): --build-arg PACKAGES=mlflow
FROM python:3.12-slim AS wheel
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source

FROM python:3.12-slim
ARG PACKAGES=""
COPY constraints.txt /constraints.txt
COPY --from=wheel /wheels /wheels
RUN wheel="$(echo /wheels/nlp_rnn-*.whl)" && pip install --no-cache-dir --constraint /constraints.txt "$wheel[serve]" $PACKAGES
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready')"]
ENTRYPOINT ["nlp-rnn", "serve", "--host", "0.0.0.0"]
CMD ["/classifier"]
